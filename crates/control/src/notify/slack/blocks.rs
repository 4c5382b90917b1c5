//! Messages as Block Kit has them, within its limits.
//!
//! All that others wrote stands in fenced code, where Slack makes nothing of it but what `&`, `<` and `>` begin, which are
//! escaped, and a fence's end, which cannot come in it.

use serde_json::{Value, json};

use super::super::words::Notice;

/// The longest header ("header block").
const HEADER: usize = 150;
/// The longest text of one section, less what the fence takes ("section block": 3000).
const SECTION: usize = 2_900;
/// The most text in a message: what is longer is only linked to. The callback of a button brings all of it back.
const MOST: usize = 9_000;

/// What a press of a button says that it is.
pub(super) const APPROVE: &str = "approval.approve";
pub(super) const DENY: &str = "approval.deny";

/// The message of an approval; `can_answer` says whether answers can be verified.
pub(super) fn of(notice: &Notice, can_answer: bool) -> Vec<Value> {
    let pieces = pieces(&notice.sheet());
    let length: usize = pieces.iter().map(String::len).sum();
    let is_whole = length <= MOST;
    let mut blocks = vec![header(&notice.title())];
    if is_whole {
        blocks.extend(pieces.iter().map(|piece| section(piece)));
    } else {
        let text =
            format!("It is too long to be shown here ({length} characters): look at all of it before you answer.");
        blocks.push(section(&text));
    }
    let mut buttons = Vec::new();
    if notice.is_open() && can_answer && is_whole {
        let id = notice.id().to_string();
        buttons.push(button(APPROVE, "Approve", "primary", &id));
        buttons.push(button(DENY, "Deny", "danger", &id));
    }
    match &notice.link {
        Some(link) => buttons.push(opens(link)),
        None => blocks.push(section(&format!("sluice approvals show {}", notice.id()))),
    }
    if !buttons.is_empty() {
        blocks.push(json!({ "type": "actions", "elements": buttons }));
    }
    blocks
}

/// A message that is about no single approval.
pub(super) fn plainly(title: &str, text: &str, link: Option<&str>) -> Vec<Value> {
    let mut blocks = vec![header(title)];
    blocks.extend(pieces(text).iter().take(3).map(|piece| section(piece)));
    blocks.extend(link.map(|link| json!({ "type": "actions", "elements": [opens(link)] })));
    blocks
}

/// A text in which Slack finds nothing to make something of.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn header(text: &str) -> Value {
    let text: String = text.chars().take(HEADER).collect();
    json!({ "type": "header", "text": { "type": "plain_text", "text": text, "emoji": false } })
}

/// All of it is shown: Slack would fold what is long, above buttons that answer it.
fn section(piece: &str) -> Value {
    let text = json!({ "type": "mrkdwn", "text": format!("```\n{piece}\n```"), "verbatim": true });
    json!({ "type": "section", "text": text, "expand": true })
}

fn button(action: &str, word: &str, style: &str, id: &str) -> Value {
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    json!({
        "type": "button",
        "action_id": action,
        "text": plain(word),
        "style": style,
        "value": id,
        "confirm": {
            "title": plain(&format!("{word}?")),
            "text": plain(&format!("{word} {id}, for all that it says here.")),
            "confirm": plain(word),
            "deny": plain("Cancel"),
        },
    })
}

fn opens(link: &str) -> Value {
    json!({
        "type": "button",
        "action_id": "approval.open",
        "text": { "type": "plain_text", "text": "Open", "emoji": false },
        "url": link,
    })
}

/// The text in pieces that each fit a section, cut between lines; a line that does not fit goes on behind a broken bar.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for line in text.lines() {
        let mut shown = String::new();
        for character in unfenced(line).chars() {
            let next = escaped(character.encode_utf8(&mut [0; 4]));
            if shown.len().saturating_add(next.len()) > SECTION {
                push(&mut pieces, &shown);
                shown = String::from("¦ ");
            }
            shown.push_str(&next);
        }
        push(&mut pieces, &shown);
    }
    pieces
}

fn push(pieces: &mut Vec<String>, line: &str) {
    match pieces.last_mut() {
        Some(last) if last.is_empty() => last.push_str(line),
        Some(last) if last.len().saturating_add(line.len()) < SECTION => {
            last.push('\n');
            last.push_str(line);
        }
        Some(_) | None => pieces.push(line.to_owned()),
    }
}

/// Two backticks in a row stand as their name, so that no fence ends where it should not.
fn unfenced(line: &str) -> String {
    line.replace("``", "⟨two GRAVE ACCENT U+0060⟩")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_their_sections_and_hold_all_of_the_text() {
        let text = format!("a\n| {}\n\n| <!channel> & ``` ```\nz", "<".repeat(3000));
        let pieces = pieces(&text);
        assert!(pieces.len() > 3 && pieces.iter().all(|piece| piece.len() <= SECTION), "{}", pieces.len());
        let all = pieces.join("\n");
        assert_eq!(all.matches("&lt;").count(), 3001);
        assert!(!all.contains('<') && !all.contains("``") && all.contains("&lt;!channel&gt; &amp; "), "{all}");
        assert!(all.starts_with("a\n| ") && all.ends_with("\nz"));
    }

    #[test]
    fn empty_lines_stay() {
        assert_eq!(pieces("a\n\nb\n"), ["a\n\nb"]);
    }
}
