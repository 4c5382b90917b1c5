//! Messages as Adaptive Cards. All that others wrote is in `RichTextBlock`s, in which Teams makes nothing of Markdown.

use serde_json::{Value, json};

use super::super::words::Notice;

/// The longest text of a card, in bytes of its JSON: a workflow takes messages of 28 KB, and a card comes back with no button.
const MOST: usize = 20_000;

/// What a press of a button says that it is.
pub(super) const APPROVE: &str = "approve";
pub(super) const DENY: &str = "deny";

/// The card of an approval; `can_answer` says whether answers can be verified.
pub(super) fn of(notice: &Notice, can_answer: bool) -> Value {
    let lines = lines(&notice.sheet());
    let length = Value::from(lines.clone()).to_string().len();
    let is_whole = length <= MOST;
    let mut body = vec![title(&notice.title())];
    if is_whole {
        body.extend(lines);
    } else {
        body.push(line(&format!(
            "It is too long to be shown here ({length} bytes): look at all of it before you answer."
        )));
    }
    let mut actions = Vec::new();
    if notice.is_open() && can_answer && is_whole {
        let button = |verb: &str, word: &str, style: &str| json!({ "type": "Action.Execute", "title": word, "verb": verb, "style": style, "data": { "approval": notice.id() } });
        actions.push(button(APPROVE, "Approve", "positive"));
        actions.push(button(DENY, "Deny", "destructive"));
    }
    match &notice.link {
        Some(link) => actions.push(opens(link)),
        None => body.push(line(&format!("sluice approvals show {}", notice.id()))),
    }
    card(body, actions)
}

/// A card that is about no single approval.
pub(super) fn plainly(words: &str, text: &str, link: Option<&str>) -> Value {
    let body = std::iter::once(title(words)).chain(lines(text)).collect();
    card(body, link.map(opens).into_iter().collect())
}

/// A card as part of a message.
pub(super) fn attached(card: &Value) -> Value {
    json!({ "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card })
}

fn card(body: Vec<Value>, actions: Vec<Value>) -> Value {
    json!({
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "body": body,
        "actions": actions,
        "msteams": { "width": "Full" },
    })
}

/// Sluice's own words alone, as a TextBlock reads Markdown.
fn title(words: &str) -> Value {
    json!({ "type": "TextBlock", "text": words, "weight": "Bolder", "size": "Medium", "wrap": true })
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(line).collect()
}

/// One line, as it is.
fn line(text: &str) -> Value {
    let text = if text.is_empty() { " " } else { text };
    json!({
        "type": "RichTextBlock",
        "spacing": "None",
        "inlines": [{ "type": "TextRun", "text": text, "fontType": "Monospace", "size": "Small" }],
    })
}

fn opens(link: &str) -> Value {
    json!({ "type": "Action.OpenUrl", "title": "Open", "url": link })
}
