//! A recording as an asciicast v2 (docs.asciinema.org/manual/asciicast/v2): a line of JSON each.

use model::id::SessionId;
use serde_json::{Value, json};

use super::reel::{Reel, Scene, Shot};
use control::replay::Line;

/// A tape as an asciicast.
pub(super) struct Cast {
    session: SessionId,
    scene: Scene,
    reel: Reel,
    /// Whether it has what the caller wrote as well.
    with_input: bool,
    size: (u16, u16),
    is_begun: bool,
}

impl Cast {
    pub(super) fn new(session: SessionId, scene: Scene, with_input: bool) -> Self {
        let (reel, size) = (Reel::new(scene.clone()), scene.size);
        Self { session, scene, reel, with_input, size, is_begun: false }
    }

    /// The lines of the recording for a line of the tape, the header before the first.
    pub(super) fn line(&mut self, line: Line) -> String {
        let (millis, shots) = self.reel.shots(line);
        let mut out = if self.is_begun { String::new() } else { self.header() };
        self.is_begun |= !out.is_empty();
        for shot in shots {
            let (code, data) = match shot {
                Shot::Shown(text) => ("o", text),
                Shot::Written(text) if self.with_input => ("i", text),
                Shot::Size(columns, rows) if (columns, rows) != self.size => {
                    self.size = (columns, rows);
                    ("r", format!("{columns}x{rows}"))
                }
                Shot::Written(_) | Shot::Size(..) | Shot::Request(_) => continue,
            };
            let moment = format!("{}.{:03}", millis / 1000, millis % 1000);
            out.push_str(&format!("[{moment}, \"{code}\", {}]\n", Value::String(data)));
        }
        out
    }

    fn header(&self) -> String {
        let Some(began) = self.reel.began() else { return String::new() };
        let (width, height) = self.scene.size;
        let channel = self.scene.channel.map(|channel| format!(", channel {channel}")).unwrap_or_default();
        let mut header = json!({
            "version": 2,
            "width": width,
            "height": height,
            "timestamp": began.0 / 1000,
            "title": format!("Sluice session {}{channel}", self.session),
        });
        if let (Some(terminal), Some(header)) = (&self.scene.terminal, header.as_object_mut()) {
            header.insert("env".to_owned(), json!({ "TERM": terminal }));
        }
        format!("{header}\n")
    }
}

#[cfg(test)]
mod tests {
    use control::replay::{Event, Passed};
    use model::time::Timestamp;

    use super::*;

    fn line(at: u64, channel: Option<u32>, event: Event) -> Line {
        Line { at: Timestamp(1_795_406_400_000 + at), channel, event }
    }

    fn passed(text: &str) -> Passed {
        Passed { data: text.into(), bytes: None }
    }

    fn request(statement: &str) -> Event {
        Event::Request { request: "s.1".into(), statement: statement.into(), values: vec![] }
    }

    fn cast(lines: Vec<Line>, wanted: Option<u32>, with_input: bool) -> String {
        let scene = Scene::find(wanted, lines.iter().cloned().map(Ok::<_, ()>)).unwrap();
        let mut cast = Cast::new(SessionId::from_bits(77), scene, with_input);
        lines.into_iter().map(|line| cast.line(line)).collect()
    }

    /// Of a tape without terminals: all that passed, in words.
    #[test]
    fn an_asciicast_has_a_header_and_moments_from_its_beginning() {
        let events = vec![
            line(0, None, request("SELECT '\u{1b}]0;x\u{7}'")),
            line(50, None, Event::Row { values: vec![Some("1".into())] }),
            line(1250, None, Event::Complete { tag: "SELECT 1".into() }),
        ];
        let text = cast(events, None, false);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["version"], &lines[0]["timestamp"]), (&2.into(), &1_795_406_400.into()));
        let moments: Vec<f64> = lines[1..].iter().map(|line| line[0].as_f64().unwrap()).collect();
        assert_eq!(moments, [0.0, 1.25]);
        let shown: String = lines[1..].iter().map(|line| line[2].as_str().unwrap()).collect();
        assert!(shown.contains("SELECT 1\r\n") && !shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown:?}");
    }

    fn terminal() -> Vec<Line> {
        vec![
            line(0, Some(1), request("exec true")),
            line(10, Some(2), request("pty xterm-256color")),
            line(20, Some(2), request("shell")),
            line(30, Some(2), Event::Size { columns: 80, rows: 24 }),
            line(40, Some(1), Event::Output(passed("of the other"))),
            line(1040, Some(2), Event::Output(passed("\u{1b}[1m$\u{1b}[0m \u{1b}]52;c;ZQ==\u{7}"))),
            line(2000, Some(2), Event::Input(passed("ls\r"))),
            line(2010, Some(2), Event::Size { columns: 100, rows: 30 }),
            // The clock was set back.
            line(1500, Some(2), Event::ErrorOutput(passed("größe\r\n"))),
            line(3000, Some(2), Event::Exit { exit_status: Some(0), signal: None, input: None, output: None }),
            line(3000, None, Event::End { complete: true }),
        ]
    }

    /// Golden: a channel's terminal as the caller saw it.
    #[test]
    fn a_terminal_is_recorded_with_its_sizes() {
        let text = cast(terminal(), None, false);
        let (header, rest) = text.split_once('\n').unwrap();
        let expected = json!({
            "version": 2,
            "width": 80,
            "height": 24,
            "timestamp": 1_795_406_400,
            "title": "Sluice session 000000000002d, channel 2",
            "env": { "TERM": "xterm-256color" },
        });
        assert_eq!(serde_json::from_str::<Value>(header).unwrap(), expected);
        let expected =
            [r#"[1.030, "o", "\u001b[1m$\u001b[0m "]"#, r#"[2.000, "r", "100x30"]"#, r#"[2.000, "o", "größe\r\n"]"#];
        assert_eq!(rest.lines().collect::<Vec<_>>(), expected);
        assert!(cast(terminal(), Some(2), true).contains("[1.990, \"i\", \"ls\\r\"]\n"));
    }

    #[test]
    fn a_channel_without_a_terminal_has_whole_lines() {
        let lines = vec![
            line(0, Some(1), request("exec ls")),
            line(5, Some(1), Event::Output(passed("a\nb\n"))),
            line(6, Some(2), Event::Size { columns: 70_000, rows: 0 }),
        ];
        assert!(cast(lines.clone(), Some(1), false).ends_with("[0.005, \"o\", \"a\\r\\nb\\r\\n\"]\n"));
        let other = cast(lines, None, false);
        assert!(other.contains("\"height\":1,") && other.contains("\"width\":500"), "{other}");
    }

    /// As the format's documentation has it: a header, and events in the order of their moments.
    #[test]
    fn each_line_is_one_that_the_format_has() {
        let text = cast(terminal(), None, true);
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let header = lines.next().unwrap();
        let is_number = |name: &str| header[name].as_u64().is_some_and(|number| number > 0);
        assert!(header["version"] == 2 && is_number("width") && is_number("height") && is_number("timestamp"));
        let mut last = 0.0;
        for line in lines {
            let [moment, code, data] = line.as_array().unwrap().as_slice() else { panic!("{line}") };
            assert!(moment.as_f64().unwrap() >= last, "{line}");
            last = moment.as_f64().unwrap();
            assert!(["o", "i", "r"].contains(&code.as_str().unwrap()) && data.is_string(), "{line}");
        }
    }
}
