"""What every ``--json`` and ``summary.json`` hold: one model a document, from which schemas and docs/json.md are made.

Amounts are decimal strings in US dollars with every digit ("1.80"), under `usd` or `..._usd`; times are ISO 8601 in
UTC, to the second. A model reads the attributes of the value that it shows, so a key is written down here alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from venice_batch.plan.model import Plan, dollars
from venice_batch.plan.money import usd
from venice_batch.report.text import model_of, when


def _amount(value: Decimal | int | str) -> str:
    """Spell an amount; whole numbers are millionths, as the ledger counts."""
    return value if isinstance(value, str) else usd(value) if isinstance(value, int) else dollars(value)


def _moment(value: float | datetime | str) -> str:
    if isinstance(value, datetime):
        value = value.timestamp()
    return value if isinstance(value, str) else when(value)


#: Names and responses may hold lone surrogates, which JSON can escape and pydantic's own check of text refuses.
Text = SkipValidation[str]
Usd = Annotated[str, BeforeValidator(_amount), WithJsonSchema({"type": "string", "pattern": r"^-?\d+\.\d{2,}$"})]
Time = Annotated[str, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
_ModelOfCall = Annotated[Text | None, BeforeValidator(lambda call: model_of(call) or None)]
_DEPRECATED: dict[str, Any] = {"deprecated": True}


class _Document(BaseModel):
    # Built when first used: a command needs one or two of them. By name, too: some attributes have two keys.
    model_config = ConfigDict(
        from_attributes=True, frozen=True, extra="forbid", populate_by_name=True, defer_build=True
    )


class CostRange(_Document):
    low: Usd = Field(description="The least.")
    high: Usd = Field(description="The most; the same where the plan is exact.")


class PlanCounts(_Document):
    new: int = Field(description="Never finished.")
    changed: int = Field(description="Finished before; the picture or the settings changed.")
    reused: int = Field(description="Done, or to be written from results without a call.")
    waiting: int = Field(description="Left alone until asked for.")
    invalid: int = Field(description="Cannot be processed.")
    total: int = Field(description="All of them.")


class PlanStep(_Document):
    id: Text = Field(description="The step's id in the job.")
    step: Text = Field(description="Its kind, such as `edit`.")
    model: Text = Field(description="The model whose price and rate limit count.")
    calls: int = Field(description="Calls at most.")
    cost: CostRange = Field(description="US dollars.")


class PlanWarning(_Document):
    code: Text = Field(description="A stable word.")
    text: Text = Field(description="The same for people.")


class PlanRest(_Document):
    items: int = Field(description="Items still to do.")
    cost: CostRange = Field(description="What they would cost, in US dollars.")


class PlanDocument(_Document):
    items: PlanCounts = Field(description="Items by what the run would do with them.")
    calls: int = Field(description="Paid calls at most.")
    cost: CostRange = Field(description="The price of all of it, in US dollars.")
    balance: dict[str, Usd] = Field(description="What the account holds, by currency in lower case.")
    covered: bool = Field(description="Whether balance and budget cover `cost.high`.")
    eta_seconds: int = Field(description="Seconds at the API's rate limits.")
    steps: list[PlanStep] = Field(description="The paid steps, in order; one entry for each model that rows name.")
    warnings: list[PlanWarning] = Field(description="What a careful person would want to know before paying.")
    rest: PlanRest | None = Field(default=None, description="With `--sample`: what it leaves for later.")

    @model_validator(mode="before")
    @classmethod
    def _of_plan(cls, plan: Any) -> Any:
        if not isinstance(plan, Plan):
            return plan
        values = {
            "items": plan.counts(),
            "calls": sum(step.calls for step in plan.steps),
            "cost": plan.cost,
            "balance": plan.balances,
            "covered": plan.coverage.covered,
            "eta_seconds": round(plan.eta_seconds),
            "steps": plan.steps,
            "warnings": plan.warnings,
        }
        return values if plan.remainder is None else {**values, "rest": plan.remainder}


class _Money(_Document):
    spent_usd: Usd = Field(validation_alias="spent", description="Spent.")
    uncertain_usd: Usd = Field(validation_alias="uncertain", description="Perhaps charged: the response was lost.")
    spent: Usd = Field(description="The older name of `spent_usd`.", json_schema_extra=_DEPRECATED)
    uncertain: Usd = Field(description="The older name of `uncertain_usd`.", json_schema_extra=_DEPRECATED)


class UnproducedFiles(_Document):
    inputs: int = Field(description="Items that are no longer in the source.")
    files: int = Field(description="Finished files that no item produces any more: the sum of those below.")
    deleted: int = Field(description="Deleted, as `output.on_vanished` says.")
    held_back: int = Field(description="Kept: more than `output.max_deleted` allows.")
    gone: int = Field(description="Were not there any more.")
    edited: int = Field(description="Kept: somebody changed them.")
    kept: int = Field(description="Kept for any other reason.")


class RunDocument(_Money):
    exit_code: int = Field(description="The code the command ends with.")
    items: dict[str, int] = Field(description="Items by state; states without items are left out.")
    left_usd: Usd = Field(validation_alias="left", description="At most, for what this run did not finish.")
    left: Usd = Field(description="The older name of `left_usd`.", json_schema_extra=_DEPRECATED)
    published_flagged: int = Field(description="Items published although flagged.")
    cause: Text | None = Field(description="Why the run stopped early.")
    unproduced: UnproducedFiles | None = Field(description="Files that no item produces; null where it did not look.")
    warnings: list[PlanWarning] = Field(description="What the run warned of while it worked.")
    plan: PlanDocument = Field(description="What was planned.")


class SpendingRow(_Money):
    step: Text = Field(description="The step's id.")
    model: Text = Field(description="The model that was served.")
    calls: int = Field(description="Calls that were or may have been charged.")


class LastRun(_Document):
    id: int = Field(description="Its number.")
    started_at: Time = Field(description="When its first start began.")
    ended_at: Time | None = Field(description="When its last start ended; null while it is under way or was killed.")
    exit_code: int | None = Field(description="Of its last start.")
    closed: bool = Field(description="Whether the next start begins a new run.")
    cause: Text = Field(description="What ended its last start early, or kept it from beginning; empty without.")


class StatusDocument(_Document):
    items: dict[str, int] = Field(description="Items by state, every state named.")
    run: LastRun | None = Field(description="The newest run.")
    spending: list[SpendingRow] = Field(description="Money of all runs by step and model.")
    state: Text = Field(description="Where the state lies.")


class ItemRecord(_Document):
    key: Text = Field(description="The item's key: its path below the source, or the id of a prompt.")
    variant: int = Field(description="1 and up where one call gives several pictures, else 0.")
    version: Text = Field(description="Of the input: etag, or size and time.")
    fingerprint: Text = Field(description="Of the settings that it was last worked on with.")
    state: Text = Field(description="See [state.md](state.md).")
    code: Text = Field(description="A stable word for the reason; empty without one.")
    reason: Text = Field(description="The same for people.")
    lasting: bool = Field(description="Whether it waits for `--retry-failed` or a change.")
    updated_at: Time = Field(description="When the state changed.")
    result: Text = Field(description="Key of the held-back result; empty without one.")


class LedgerRow(_Document):
    id: int = Field(description="The call's number.")
    run: int = Field(description="The run's number.")
    key: Text = Field(description="The item's key.")
    variant: int = Field(description="The item's variant.")
    step: Text = Field(description="The step's id.")
    endpoint: Text = Field(description="Of the API.")
    model: Text | None = Field(description="As asked for; null where the job names none.")
    micros: int = Field(description="The price in millionths of a US dollar.", json_schema_extra=_DEPRECATED)
    fate: Text = Field(description="`reserved`, `begun`, `spent`, `uncertain` or `released`.")
    outcome: Text = Field(description="What came back: `answered`, or a code such as `rate-limited`.")
    result: Text | None = Field(description="Key of the result.")
    reserved_at: Time = Field(description="When its money was reserved.")
    begun_at: Time | None = Field(description="When it was handed over for sending.")
    ended_at: Time | None = Field(description="When it was over.")
    status: int | None = Field(description="HTTP status.")
    attempts: int = Field(description="Requests made for it; 0 while unknown.")
    request_id: Text | None = Field(description="The API's name of the request.")
    model_served: Text | None = Field(description="As the API says.")
    balance_usd: Text | None = Field(description="Balance in USD before the call, as the API says.")
    balance_diem: Text | None = Field(description="The same in DIEM.")
    usd: Usd = Field(validation_alias="micros", description="The price.")


class ReportDocument(_Document):
    page: Text = Field(description="Path or address of the page.")
    failures: Text = Field(description="Of `failures.csv`.")
    summary: Text = Field(description="Of `summary.json`.")
    notes: list[Text] = Field(description="Remarks at the head of the page.")


class CallCounts(_Document):
    answered: int = Field(description="Answered and paid.")
    uncertain: int = Field(description="Perhaps charged: the response was lost.")
    refused: int = Field(description="Sent, and cost nothing.")


class Latency(_Document):
    p50: float = Field(description="Median.")
    p95: float = Field(description="95th percentile.")


class SummaryRun(_Money):
    id: int = Field(description="Its number.")
    started_at: Time = Field(description="When its first start began.")
    ended_at: Time | None = Field(description="When its last start ended; null where that is not known.")
    exit_code: int | None = Field(description="Of its last start.")
    outcome: Text = Field(description="How it ended, in a sentence.")
    cause: Text | None = Field(description="What ended it early.")
    seconds: float = Field(description="From its first start to its end.")
    items_ended: int = Field(description="Items that came to an end in it.")
    calls: CallCounts = Field(description="Its paid calls.")
    latency_seconds: Latency | None = Field(description="Of answered calls; null with fewer than two.")
    spending: list[SpendingRow] = Field(description="Money by step and model.")
    unproduced: UnproducedFiles | None = Field(description="Finished files that no item produces; null without any.")


class TotalMoney(_Money):
    spending: list[SpendingRow] = Field(description="Money by step and model.")


class SummaryDocument(_Document):
    job: Text = Field(description="The job's name.")
    made_at: Time = Field(description="When the report was made.")
    run: SummaryRun | None = Field(description="The newest run.")
    items: dict[str, int] = Field(description="Items by state, every state named, with `total` and `to_look_at`.")
    in_all: TotalMoney = Field(description="Of all runs.")
    notes: list[Text] = Field(description="Remarks at the head of the page.")


class Charge(_Document):
    timestamp: Time = Field(description="When it was booked.")
    sku: Text = Field(description="The account's name of what was sold.")
    charged_usd: Usd = Field(validation_alias="charged", description="What was taken; negative for a credit.")
    charged: Usd = Field(description="The older name of `charged_usd`.", json_schema_extra=_DEPRECATED)
    currency: Text = Field(description="What it was paid in; all count one to one in US dollars.")
    request_id: Text | None = Field(description="Of the request that was charged.")


def _of_call(name: str, description: str, **schema: Any) -> Any:
    return Field(validation_alias=AliasPath("call", name), description=description, json_schema_extra=schema)


class _Reconciled(_Document):
    call: int = _of_call("id", "The call's number in the ledger.")
    item: Text = _of_call("key", "The item's key.")
    variant: int = _of_call("variant", "The item's variant.")
    step: Text = _of_call("step", "The step's id.")
    model: _ModelOfCall = Field(validation_alias="call", description="As served, else as asked for.")
    begun_at: Time = _of_call("begun_at", "When the call began.")
    ended_at: Time | None = _of_call("ended_at", "When it was over.")
    fate: Text = _of_call("fate", "As in `ledger --json`.")
    expected_usd: Usd = _of_call("micros", "The catalogue's price.")
    expected: Usd = _of_call("micros", "The older name of `expected_usd`.", deprecated=True)
    request_id: Text | None = _of_call("request_id", "The API's name of the request.")
    instead: list[int] = Field(description="Numbers of other calls that this could be about.")


class MatchedCall(_Reconciled):
    rows: list[Charge] = Field(description="What was charged for it.")
    by: Text | None = Field(description="How they were found: `request id` or `amount and time`.")


class FurtherCharge(_Reconciled):
    row: Charge = Field(description="The charge beyond the first.")
    by: Text = Field(description="How it was found: `request id` or `amount and time`.")


class UnchargedCall(_Reconciled):
    pass


class ReconcileDocument(_Document):
    clean: bool = Field(description="Whether nothing was charged twice or without a result.")
    usd: dict[str, Usd] = Field(validation_alias="sums", description="The sum of each of the lists below.")
    matched: list[MatchedCall] = Field(description="Answered and charged once.")
    charged_twice: list[FurtherCharge] = Field(description="Charges beyond the first of a call.")
    charged_without_answer: list[MatchedCall] = Field(description="Lost or refused, and charged.")
    not_charged: list[UnchargedCall] = Field(description="Without a charge, or with one not booked yet.")
    still_open: list[MatchedCall] = Field(description="Of a run that is under way or was killed.")
    unmatched: list[Charge] = Field(description="Charges of no call of this job.")
    credits: list[Charge] = Field(description="Rows that took nothing, such as refunds.")


class CheckedStep(_Document):
    id: Text = Field(description="The step's id.")
    step: Text = Field(validation_alias="name", description="Its kind, such as `edit`.")


class JobProblem(_Document):
    file: Text = Field(description="The file.")
    line: int = Field(description="From 1.")
    column: int = Field(description="From 1.")
    what: Text = Field(description="What is wrong.")
    instead: Text = Field(description="What to write instead; may be empty.")


class ValidJob(_Document):
    valid: Literal[True] = Field(description="The job can be carried out.")
    name: Text = Field(description="The job's name.")
    steps: list[CheckedStep] = Field(description="Its steps, in order.")
    state: Text = Field(description="Where its state lies.")


class InvalidJob(_Document):
    valid: Literal[False] = Field(description="It cannot; exit code 2.")
    problems: list[JobProblem] = Field(description="Everything that is wrong.")


class DoctorFinding(_Document):
    check: Text = Field(description="What was checked.")
    level: Text = Field(description="`ok`, `warning` or `bad`.")
    found: Text = Field(description="What was found.")
    remedy: Text = Field(description="What to do about it; may be empty.")


class DoctorDocument(_Document):
    exit_code: int = Field(description="Of the most serious finding.")
    findings: list[DoctorFinding] = Field(description="In the order of examination.")


class GcDocument(_Document):
    dry_run: bool = Field(
        description="Whether it only looked. With `--yes` false, also where there was nothing to free."
    )
    freed: bool = Field(description="Whether anything was deleted.")
    results: int = Field(description="Results that can go, or went.")
    set_aside: int = Field(description="Unused results (`.bad-<n>`) that can go, or went.")
    bytes: int = Field(description="Their size together.")
    usd: Usd = Field(description="What they cost.")
    needed: int = Field(description="Results that items need or may need.")
    spared: int = Field(description="Results unused, but too young or too small to go.")
    unclear_items: int = Field(description="Items of which it is not known what they need.")
    unknown_items: int = Field(description="Those of them whose content is unknown: nothing can go.")


class DecidedItem(_Document):
    job: Text = Field(description="The job's name.")
    item: Text = Field(description="The item's name.")
    flags: list[Text] = Field(description="Why the result was held back.")
    result: Text = Field(description="Key of the result.")


class DecisionDocument(_Document):
    decision: Text = Field(description="`released` or `rejected`.")
    items: list[DecidedItem] = Field(description="What was decided now.")
    already: list[Text] = Field(description="Items that had been decided so before.")


class BalanceDocument(_Document):
    permitted: bool = Field(description="Whether the key may make paid calls.")
    balances: dict[Annotated[str, StringConstraints(to_lower=True)], Usd] = Field(
        description="By currency in lower case; all count as US dollars."
    )
    next_epoch: Time | None = Field(description="When DIEM is refilled.")
    rpm: dict[str, int] = Field(description="Requests a minute by model.")


class CatalogueModel(_Document):
    id: Text = Field(description="The model's id.")
    type: Text = Field(description="`image`, `inpaint` or `upscale`.")
    spec: dict[str, Any] = Field(description="What the API's catalogue says of it, as far as this tool reads it.")


class PresetRule(_Document):
    text: Text = Field(description="The rule.")
    source: Text = Field(description="Where it was read.")
    official: bool = Field(description="Whether by the marketplace itself.")


class PresetDocument(_Document):
    name: Text = Field(description="What `preset:` may say.")
    description: Text = Field(description="What it is for.")
    checked: Text = Field(description="The day on which the rules were read.")
    leaves: Text = Field(description="What is left to you.")
    rules: list[PresetRule] = Field(description="What the marketplace asks for.")
    steps: list[Any] = Field(description="As in a job file.")
    output: dict[str, Any] = Field(description="Likewise.")


#: What each file of docs/schemas/ describes, by its name.
DOCUMENTS: Mapping[str, Any] = {
    "plan": PlanDocument,
    "run": RunDocument,
    "status": StatusDocument,
    "items": list[ItemRecord],
    "ledger": list[LedgerRow],
    "report": ReportDocument,
    "summary": SummaryDocument,
    "reconcile": ReconcileDocument,
    "check": ValidJob | InvalidJob,
    "doctor": DoctorDocument,
    "gc": GcDocument,
    "decision": DecisionDocument,
    "balance": BalanceDocument,
    "models": list[CatalogueModel],
    "presets": list[PresetDocument] | PresetDocument,
    "styles": list[Text],
}


def document(name: str, value: object) -> Any:
    """Return `value` in the form of a document, for `json.dumps`.

    Args:
        name: of `DOCUMENTS`.
        value: a mapping, or an object whose attributes have the names of the document's keys, or a list of those. What
            it does not have (a plan's `rest`) is left out.
    """
    adapter = TypeAdapter[Any](DOCUMENTS[name])
    return adapter.dump_python(adapter.validate_python(value), mode="json", exclude_unset=True)
