"""What a run would do and cost: arithmetic over values; `plan.reading` reads them, `plan.planner` joins the two."""
