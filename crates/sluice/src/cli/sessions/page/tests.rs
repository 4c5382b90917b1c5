use control::replay::{Event, Passed};
use model::time::Timestamp;

use super::frames::Picture;
use super::*;

const SIZE: (u16, u16) = (20, 4);

fn line(at: u64, channel: Option<u32>, event: Event) -> Line {
    Line { at: Timestamp(1_795_406_400_000 + at), channel, event }
}

fn output(text: &str) -> Event {
    Event::Output(Passed { data: text.into(), bytes: None })
}

fn page(lines: Vec<Line>) -> String {
    let scene = Scene::find(None, lines.iter().cloned().map(Ok::<_, ()>)).unwrap();
    let mut page = Page::new(SessionId::from_bits(77), scene);
    lines.into_iter().for_each(|line| page.line(line));
    page.finish()
}

/// What the page has as data.
fn data(page: &str) -> Value {
    let (_, data) = page.split_once("id=\"tape\">").unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

/// What the player puts together of frames up to one of them.
fn put_together(frames: &[Value], wanted: usize) -> Picture {
    let key = (0..=wanted).rev().find(|at| !frames[*at]["key"].is_null()).unwrap();
    let mut picture = Picture::default();
    for frame in &frames[key..=wanted] {
        if let Ok(size) = serde_json::from_value::<(u16, u16)>(frame["key"].clone()) {
            picture = Picture { size, cursor: None, rows: vec![Vec::new(); usize::from(size.1)] };
        }
        for row in frame["rows"].as_array().unwrap() {
            let (number, runs): (usize, Vec<(String, usize)>) = serde_json::from_value(row.clone()).unwrap();
            picture.rows[number] = runs;
        }
        picture.cursor = serde_json::from_value(frame["cursor"].clone()).unwrap();
    }
    picture
}

/// Wherever one seeks to, there is what the screen showed then.
#[test]
fn each_moment_is_what_the_screen_showed() {
    let mut frames = Frames::new(SIZE);
    let mut pictures = Vec::new();
    for number in 0u64..500 {
        let text = match number % 7 {
            0 => format!("\u{1b}[3{}mline {number}\u{1b}[0m\r\n", number % 8),
            1 => format!("\u{1b}[{};{}H\u{1b}[7m{number}", number % 4 + 1, number % 20 + 1),
            2 => "\u{1b}[?25l\u{1b}[2K".into(),
            3 => "\u{1b}[?25h日本\u{1b}[38;5;200mx\u{1b}[0m".into(),
            4 => format!("\u{1b}[?1049{}", if number % 2 == 0 { 'h' } else { 'l' }),
            5 if number % 3 == 0 => "\u{1b}[2J".into(),
            _ => "y".into(),
        };
        if number == 250 {
            frames.resize(number * 100, (30, 5));
        }
        frames.show(number * 100, &text);
        pictures.push((number * 100, frames.picture()));
    }
    let (frames, _) = frames.finish();
    assert!(frames.iter().filter(|frame| !frame["key"].is_null()).count() >= 5, "one can seek");
    for (at, expected) in pictures {
        let wanted = frames.iter().rposition(|frame| frame["at"].as_u64().unwrap() <= at).unwrap();
        assert_eq!(put_together(&frames, wanted), expected, "at {at}");
    }
}

#[test]
fn what_follows_at_once_is_one_frame() {
    let mut frames = Frames::new(SIZE);
    (0..1000).for_each(|at| frames.show(at, &format!("{at}\r\n")));
    let (frames, _) = frames.finish();
    assert!((25..35).contains(&frames.len()), "{}", frames.len());
}

#[test]
fn colours_are_those_of_the_screen() {
    let mut frames = Frames::new(SIZE);
    frames.show(0, "a\u{1b}[1;31;44mb\u{1b}[0;38;5;196mc\u{1b}[38;5;244md\u{1b}[38;2;1;2;3me\u{1b}[0;7mf");
    let (_, styles) = frames.finish();
    let expected = json!([
        ["", "", 0],
        ["#cd0000", "#3465e4", 1],
        ["#ff0000", "", 0],
        ["#808080", "", 0],
        ["#010203", "", 0],
        ["", "", 16],
    ]);
    assert_eq!(Value::Array(styles), expected);
}

/// RC-13: whatever was on the tape is data in the page. It ends no element, begins none, and no policy would run it.
#[test]
fn rc_13_nothing_on_a_tape_runs_as_script() {
    let canary = "</script><script>alert('C4NARY')</script><!--<img src=x onerror=alert(1)>&lt;\u{2028}\u{1b}]0;x\u{7}";
    let request = |statement: &str| Event::Request {
        request: canary.into(),
        statement: statement.into(),
        values: vec![canary.into()],
    };
    let terminal = vec![
        line(0, Some(1), request("pty </title><script>")),
        line(1, Some(1), request(canary)),
        line(2, Some(1), Event::Size { columns: 400, rows: 24 }),
        line(3, Some(1), output(canary)),
        line(90, Some(1), Event::ErrorOutput(Passed { data: canary.into(), bytes: None })),
        line(91, None, Event::Cut { reason: canary.into() }),
    ];
    let words = terminal.iter().filter(|line| !matches!(line.event, Event::Size { .. })).cloned().collect();
    for (lines, shows) in [(terminal, true), (words, true)] {
        let page = page(lines);
        assert_eq!(page.matches("<script").count(), 2, "the data and the player");
        assert_eq!(page.matches("</script").count(), 2);
        for mark in ["<img", "<!--", "&lt;", "\u{2028}", "\u{1b}", "\u{7}"] {
            assert!(!page.contains(mark), "{mark:?}");
        }
        let data = data(&page);
        assert_eq!(data["requests"][1]["text"], canary, "it is told as it was");
        let shown = data["frames"].to_string();
        assert_eq!(shown.contains("<script>alert('C4NARY')</script>"), shows, "{shown}");
    }
}

/// The page needs nothing but itself, and its policy lets it have nothing else.
#[test]
fn a_page_stands_alone() {
    let page = page(vec![line(0, None, Event::Complete { tag: "SELECT 1".into() })]);
    for wanted in [SCRIPT, STYLE] {
        assert!(page.contains(&source(wanted)) && page.contains(wanted));
    }
    assert!(page.contains("default-src 'none'"));
    for outside in
        ["http://", "https://", "src=", "href=", "url(", "@import", "innerHTML", "eval(", "style=\"", "onclick="]
    {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(data(&page)["title"], "Sluice session 000000000002d");
}
