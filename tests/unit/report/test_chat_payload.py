"""The forms in which chats take a message."""

from __future__ import annotations

import json

import pytest

from venice_batch.job.notify import Address
from venice_batch.report.chat_payload import chat_payload

HOSTILE = "cause: <!channel> <https://evil.example|here> @everyone & [click](https://evil.example) *bold* `code`"


def test_slack_and_its_relatives_get_text_without_mentions_or_links() -> None:
    found = chat_payload(Address("https://hooks.slack.com/services/T/B/x"), HOSTILE)
    assert found.keys() == {"text", "mrkdwn"}
    assert "&lt;!channel&gt;" in str(found["text"])
    assert "<" not in str(found["text"])


@pytest.mark.parametrize("host", ["discord.com", "canary.discord.com", "discordapp.com"])
def test_discord_gets_its_own_form_with_mentions_switched_off(host: str) -> None:
    found = chat_payload(Address(f"https://{host}/api/webhooks/1/token"), HOSTILE)
    assert found["allowed_mentions"] == {"parse": []}
    assert "@everyone" not in str(found["content"])
    assert "](" not in str(found["content"])


def test_discord_under_its_slack_address_gets_slacks_form() -> None:
    found = chat_payload(Address("https://discord.com/api/webhooks/1/token/slack"), HOSTILE)
    assert found.keys() == {"text"}
    assert "@everyone" not in str(found["text"])


def test_a_host_that_only_ends_like_discord_is_not_discord() -> None:
    assert "text" in chat_payload(Address("https://notdiscord.com/hook"), "all done")


@pytest.mark.parametrize("host", ["prod-1.westeurope.logic.azure.com:443", "x.environment.api.powerplatform.com"])
def test_teams_gets_a_card_of_plain_runs(host: str) -> None:
    found = chat_payload(Address(f"https://{host}/workflows/x"), f"all done\n{HOSTILE}")
    card = found["attachments"][0]["content"]  # type: ignore[index]  # JSON, as Teams reads it
    runs = [block["inlines"][0] for block in card["body"]]
    assert [run["text"] for run in runs] == ["all done", HOSTILE]
    assert {run["type"] for run in runs} == {"TextRun"}


@pytest.mark.parametrize("host", ["hooks.slack.com", "discord.com", "x.logic.azure.com"])
def test_a_long_message_is_cut_before_a_chat_refuses_it(host: str) -> None:
    found = chat_payload(Address(f"https://{host}/x"), "@*" * 5000)
    assert len(json.dumps(found, ensure_ascii=False).replace("\\\\", "\\")) < 2300
