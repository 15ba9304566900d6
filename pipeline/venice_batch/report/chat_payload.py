"""The form in which a chat takes a message, with nothing in it a mention, a link or markup."""

from __future__ import annotations

import re

from venice_batch.job.notify import Address

#: Discord takes 2,000 characters and refuses a longer message whole.
_LONGEST = 1900
_DISCORD = (".discord.com", ".discordapp.com")
_TEAMS = (".logic.azure.com", ".powerplatform.com", ".webhook.office.com")


def chat_payload(webhook: Address, text: str) -> dict[str, object]:
    """Return the JSON document for the chat service that runs at the webhook's host.

    Slack's form is the common one: Mattermost, Rocket.Chat, Google Chat and Discord's own ``/slack`` address take it.

    Args:
        webhook: where it goes.
        text: plain lines; file names and responses in it may be hostile.
    """
    host = "." + webhook.host.lower().partition(":")[0]
    if host.endswith(_DISCORD):
        return _discord(text, slack=webhook.path.rstrip("/").endswith("/slack"))
    if host.endswith(_TEAMS):
        return _card(text[:_LONGEST])
    return _slack(text[:_LONGEST])


def _slack(text: str) -> dict[str, object]:
    # Slack's three control characters: with them a file name could call the whole channel (<!channel>).
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    return {"text": text, "mrkdwn": False}


def _discord(text: str, *, slack: bool) -> dict[str, object]:
    escaped = re.sub(r"([\\*_~`|>#\[\]()])", r"\\\1", text)
    # A name that is split from its @ mentions nobody; only Discord's own form can switch mentions off.
    split = escaped.replace("@", "@\u200b")[:_LONGEST]
    return {"text": split} if slack else {"content": split, "allowed_mentions": {"parse": []}}


def _card(text: str) -> dict[str, object]:
    """Return an Adaptive Card, the only form that Teams Workflows take; text runs know no markup."""
    blocks = [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]} for line in text.splitlines()]
    schema = "http://adaptivecards.io/schemas/adaptive-card.json"
    card = {"$schema": schema, "type": "AdaptiveCard", "version": "1.4", "body": blocks}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}
