//! What of a tape has a text in it: requests, and what of their answers.

use std::collections::BTreeMap;

use control::replay::{Event, Field, Line, Report};

/// Lets pass what has a text in it, on each channel for itself.
pub(super) struct Greps {
    text: String,
    channels: BTreeMap<Option<u32>, Grep>,
}

impl Greps {
    /// Without regard to the case of ASCII letters.
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), channels: BTreeMap::new() }
    }

    /// What is to be shown after this line.
    pub(super) fn pass(&mut self, line: Line) -> Vec<Line> {
        let new = || Grep::new(&self.text);
        self.channels.entry(line.channel).or_insert_with(new).pass(line)
    }
}

/// Lets pass what has a text in it, and what it belongs to.
struct Grep {
    text: String,
    /// The request and the columns that are shown once something of them is.
    pending: Vec<Line>,
    /// Whether the request itself has it: then all of its answer is shown.
    whole: bool,
    /// Whether anything of the present exchange is shown.
    shown: bool,
}

impl Grep {
    fn new(text: &str) -> Self {
        Self { text: text.to_ascii_lowercase(), pending: Vec::new(), whole: false, shown: false }
    }

    /// What is to be shown after this line.
    fn pass(&mut self, line: Line) -> Vec<Line> {
        match &line.event {
            Event::Request { .. } => {
                self.whole = self.has(&line.event);
                self.shown = self.whole;
                self.pending.clear();
                if self.whole {
                    return vec![line];
                }
                self.pending.push(line);
                Vec::new()
            }
            Event::Columns { .. } if !self.whole => {
                self.pending.retain(|pending| !matches!(pending.event, Event::Columns { .. }));
                self.pending.push(line);
                Vec::new()
            }
            Event::Complete { .. } | Event::Exit { .. } | Event::Exchanged { .. } => {
                if self.shown {
                    vec![line]
                } else {
                    Vec::new()
                }
            }
            Event::Cut { .. } | Event::Unreadable { .. } | Event::End { .. } => vec![line],
            event if self.whole || self.has(event) => {
                self.shown = true;
                let mut all = std::mem::take(&mut self.pending);
                all.push(line);
                all
            }
            _ => Vec::new(),
        }
    }

    fn has(&self, event: &Event) -> bool {
        let is_in = |text: &str| text.to_ascii_lowercase().contains(&self.text);
        let in_report = |report: &Report| {
            let parts = [Some(&report.sqlstate), Some(&report.message), report.detail.as_ref(), report.hint.as_ref()];
            parts.into_iter().flatten().any(|part| is_in(part))
        };
        let in_fields = |fields: &[Field]| fields.iter().any(|field| is_in(&field.name) || is_in(&field.value));
        match event {
            Event::Request { request, statement, values } => {
                is_in(request) || is_in(statement) || values.iter().any(|value| is_in(value))
            }
            Event::Row { values } => values.iter().flatten().any(|value| is_in(value)),
            Event::Columns { names } => names.iter().any(|name| is_in(name)),
            Event::Copy { data } => is_in(data),
            Event::Complete { tag } => is_in(tag),
            Event::Error(report) | Event::Notice(report) => in_report(report),
            Event::Notification { channel, payload } => is_in(channel) || is_in(payload),
            Event::Setting { name, value } => is_in(name) || is_in(value),
            Event::Input(passed) | Event::Output(passed) | Event::ErrorOutput(passed) => is_in(&passed.data),
            Event::File { request, .. } => is_in(request),
            Event::Asked { method, path, fields } => is_in(method) || is_in(path) || in_fields(fields),
            Event::Answered { fields, .. } | Event::Trailers { fields } => in_fields(fields),
            Event::Exchanged { .. } | Event::Message { .. } => false,
            Event::Exit { .. } | Event::Size { .. } => false,
            Event::Cut { .. } | Event::Unreadable { .. } | Event::End { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::time::Timestamp;

    use super::*;

    fn passed(text: &str, events: &[Event]) -> Vec<Event> {
        let mut grep = Grep::new(text);
        let lines = events.iter().map(|event| Line { at: Timestamp(0), channel: None, event: event.clone() });
        lines.flat_map(|line| grep.pass(line)).map(|line| line.event).collect()
    }

    #[test]
    fn what_has_the_text_is_shown_with_its_request() {
        let request =
            |statement: &str| Event::Request { request: "s.1".into(), statement: statement.into(), values: vec![] };
        let row = |value: &str| Event::Row { values: vec![Some(value.into()), None] };
        let columns = || Event::Columns { names: vec!["name".into()] };
        let complete = || Event::Complete { tag: "SELECT 2".into() };
        let end = || Event::End { complete: true };
        let first = [request("SELECT a"), columns(), row("x"), row("Needle"), complete()];
        let second = [request("SELECT b"), columns(), row("y"), complete(), end()];
        let all = [first.clone(), second.clone()].concat();
        let of_first = [request("SELECT a"), columns(), row("Needle"), complete(), end()];
        assert_eq!(passed("needle", &all), of_first);
        assert_eq!(passed("select b", &all), second);
        assert_eq!(passed("nowhere", &all), [end()]);
    }
}
