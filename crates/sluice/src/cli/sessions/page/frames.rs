//! What a screen showed, as key frames and what changed between them: any moment is put together from the key frame before it
//! and the few frames that follow that one.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use serde_json::{Value, json};

/// One in so many frames is a key frame.
const KEY: usize = 100;
/// What follows within this time is one frame, in milliseconds: no eye tells them apart.
const TOGETHER: u64 = 33;

/// One line of a screen: texts, and by number how each looks.
type Row = Vec<(String, usize)>;

/// What a screen shows at a moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Picture {
    /// In columns and lines.
    pub(super) size: (u16, u16),
    /// Line and column, unless it is hidden.
    pub(super) cursor: Option<(u16, u16)>,
    pub(super) rows: Vec<Row>,
}

/// The frames of a screen.
pub(super) struct Frames {
    terminal: vt100::Parser,
    /// How text can look: colours and, by bits, bold (1), dim (2), italic (4), underlined (8) and inverse (16).
    styles: BTreeMap<(String, String, u8), usize>,
    last: Picture,
    frames: Vec<Value>,
    /// When what is not in a frame yet began, and when it was complete.
    open: Option<(u64, u64)>,
}

impl Frames {
    pub(super) fn new(size: (u16, u16)) -> Self {
        let (columns, rows) = non_zero(size);
        Self {
            terminal: vt100::Parser::new(rows, columns, 0),
            styles: BTreeMap::new(),
            last: Picture::default(),
            frames: Vec::new(),
            open: None,
        }
    }

    /// It showed this at that moment, in milliseconds.
    pub(super) fn show(&mut self, at: u64, text: &str) {
        self.open(at);
        self.terminal.process(text.as_bytes());
    }

    /// It has this size from that moment on.
    pub(super) fn resize(&mut self, at: u64, size: (u16, u16)) {
        self.open(at);
        let (columns, rows) = non_zero(size);
        self.terminal.set_size(rows, columns);
    }

    /// All frames, and how their texts look.
    pub(super) fn finish(mut self) -> (Vec<Value>, Vec<Value>) {
        self.close();
        let mut styles: Vec<_> = self.styles.into_iter().map(|(style, number)| (number, style)).collect();
        styles.sort();
        (self.frames, styles.into_iter().map(|(_, (text, ground, how))| json!([text, ground, how])).collect())
    }

    fn open(&mut self, at: u64) {
        if self.open.is_some_and(|(began, _)| at.saturating_sub(began) > TOGETHER) {
            self.close();
        }
        let began = self.open.map_or(at, |(began, _)| began);
        self.open = Some((began, at));
    }

    /// Makes a frame of what is shown now.
    fn close(&mut self) {
        let Some((_, at)) = self.open.take() else { return };
        let now = self.picture();
        let is_key = self.frames.len().is_multiple_of(KEY) || now.size != self.last.size;
        let before = |row: usize| self.last.rows.get(row).filter(|_| !is_key);
        let changed = now.rows.iter().enumerate().filter(|(number, row)| before(*number) != Some(*row));
        let changed: Vec<Value> = changed.map(|(number, row)| json!([number, row])).collect();
        if is_key || !changed.is_empty() || now.cursor != self.last.cursor {
            let size = is_key.then_some(now.size);
            self.frames.push(json!({ "at": at, "key": size, "cursor": now.cursor, "rows": changed }));
        }
        self.last = now;
    }

    /// What is shown now.
    pub(super) fn picture(&mut self) -> Picture {
        let screen = self.terminal.screen();
        let (rows, columns) = screen.size();
        let cursor = (!screen.hide_cursor()).then(|| screen.cursor_position());
        let shown = (0..rows.get()).map(|row| line(screen, &mut self.styles, row, columns.get())).collect();
        Picture { size: (columns.get(), rows.get()), cursor, rows: shown }
    }
}

/// One line of a screen, without the empty end of it.
fn line(screen: &vt100::Screen, styles: &mut BTreeMap<(String, String, u8), usize>, row: u16, columns: u16) -> Row {
    let mut runs: Row = Vec::new();
    let plain = number(styles, (String::new(), String::new(), 0));
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation()) else { continue };
        let style = number(styles, look(cell));
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match runs.last_mut() {
            Some((run, same)) if *same == style => run.push_str(text),
            _ => runs.push((text.to_owned(), style)),
        }
    }
    if let Some((run, _)) = runs.last_mut().filter(|(_, style)| *style == plain) {
        run.truncate(run.trim_end_matches(' ').len());
    }
    runs.retain(|(run, _)| !run.is_empty());
    runs
}

fn number(styles: &mut BTreeMap<(String, String, u8), usize>, style: (String, String, u8)) -> usize {
    let next = styles.len();
    *styles.entry(style).or_insert(next)
}

fn look(cell: &vt100::Cell) -> (String, String, u8) {
    let bits = [cell.bold(), cell.dim(), cell.italic(), cell.underline(), cell.inverse()];
    let how = (0u8..).zip(bits).fold(0u8, |how, (at, is_so)| how | (u8::from(is_so) << at));
    (colour(cell.fgcolor()), colour(cell.bgcolor()), how)
}

/// A colour as a page has it: none for that of the screen itself.
fn colour(colour: vt100::Color) -> String {
    /// The first 16, as xterm has them.
    const NAMED: [&str; 16] = [
        "#000000", "#cd0000", "#00cd00", "#cdcd00", "#3465e4", "#cd00cd", "#00cdcd", "#e5e5e5", "#7f7f7f", "#ff0000",
        "#00ff00", "#ffff00", "#6c8cff", "#ff00ff", "#00ffff", "#ffffff",
    ];
    let hex = |red: u8, green: u8, blue: u8| format!("#{red:02x}{green:02x}{blue:02x}");
    let level = |step: u8| if step == 0 { 0 } else { step.saturating_mul(40).saturating_add(55) };
    match colour {
        vt100::Color::Default => String::new(),
        vt100::Color::Rgb(red, green, blue) => hex(red, green, blue),
        vt100::Color::Idx(number) => match (NAMED.get(usize::from(number)), number.checked_sub(232)) {
            (Some(named), _) => (*named).to_owned(),
            (None, Some(grey)) => {
                let grey = grey.saturating_mul(10).saturating_add(8);
                hex(grey, grey, grey)
            }
            (None, None) => {
                let cube = number.saturating_sub(16);
                hex(level(cube / 36), level(cube / 6 % 6), level(cube % 6))
            }
        },
    }
}

fn non_zero((columns, rows): (u16, u16)) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(columns).unwrap_or(NonZeroU16::MIN), NonZeroU16::new(rows).unwrap_or(NonZeroU16::MIN))
}
