"""A catalogue with a table: words, logos, masks and names of each product, from the installed command."""

from __future__ import annotations

from tests.e2e.conftest import Work, draw

TABLE = "key,sku,title,brand,category,skip\n{rows}"
ROWS = ("cup.png,11,red cup,acme,pots,", "pan.png,12,{big} pan,brio,pans,", "old.png,13,old pot,acme,pots,yes")


def table(work: Work, *rows: str) -> None:
    (work.root / "catalogue.csv").write_text(TABLE.format(rows="\n".join(rows) + "\n"), "utf-8")


def shop(work: Work) -> None:
    work.draw("cup.png", "cup_mask.png", "pan.png", "pan_mask.png", "old.png")
    for number, brand in enumerate(("acme", "brio")):
        (work.root / "brand").mkdir(exist_ok=True)
        draw(work.root / "brand" / f"{brand}.png", (300 + number, 300))
    table(work, *ROWS)
    images = ["current", {"beside": "{stem}_mask.png"}, {"file": "brand/{brand}.png"}]
    work.write(
        {"multi-edit": {"prompt": "a {title} by {brand}", "modelId": "nano-banana-pro-edit", "images": images}},
        {"upscale": None, "when": {"metadata": {"category": "pots"}}},
        source={"path": "photos", "exclude": ["*_mask.png"], "metadata": "catalogue.csv"},
        output={"path": "finished", "name": "{brand}/{sku}-{stem}.{ext}"},
    )


def test_a_table_gives_every_product_its_words_its_logo_its_mask_and_its_name(work: Work) -> None:
    shop(work)
    planned = work.asked("plan")
    assert (planned["items"]["new"], planned["calls"]) == (2, 3)
    assert "skipped" in {warning["code"] for warning in planned["warnings"]}
    ended = work.run()
    assert ended.code == 0, ended.text
    assert sorted(work.outputs()) == ["acme/11-cup.png", "brio/12-pan.png"]
    edits = work.vendor.paid("/image/multi-edit")
    assert sorted(call["params"]["prompt"] for call in edits) == ["a red cup by acme", "a {big} pan by brio"]
    assert len(work.vendor.paid("/image/upscale")) == 1
    assert work.run().code == 0
    assert len(work.vendor.paid()) == 3


def test_a_new_word_or_mask_buys_its_own_product_alone(work: Work) -> None:
    shop(work)
    assert work.run().code == 0
    table(work, ROWS[0].replace("red", "blue"), *ROWS[1:])
    work.take("pan_mask.png", (400, 300))
    assert work.run().code == 0
    assert len(work.vendor.paid("/image/multi-edit")) == 4
    (work.photos / "pan_mask.png").unlink()
    table(work, ROWS[0].replace("red cup", ""), *ROWS[1:])
    ended = work.run()
    assert (ended.code, len(work.vendor.paid("/image/multi-edit"))) == (3, 4)
    assert work.codes() == {"cup.png": "metadata", "pan.png": "beside"}
    assert "pan_mask.png" in ended.text or "pan_mask.png" in work.venice("items", work.job).text
