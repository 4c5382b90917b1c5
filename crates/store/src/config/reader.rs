//! Takes settings out of a TOML document one by one and collects every mistake with its line.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::time::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, units};

/// One file and the mistakes found in it.
pub struct Document<'t> {
    file: PathBuf,
    text: &'t str,
    errors: RefCell<Vec<ConfigError>>,
}

/// One table of a document. What is not taken out of it by [`Section::finish`] is unknown.
pub struct Section<'d, 't> {
    document: &'d Document<'t>,
    /// `listen.postgres`; empty for the document itself.
    name: String,
    span: Range<usize>,
    table: RefCell<DeTable<'t>>,
    known: RefCell<Vec<Known>>,
    /// Whether the file has it at all.
    is_present: Cell<bool>,
}

/// A setting that was asked for.
struct Known {
    key: &'static str,
    /// Where it is, if the file has it.
    span: Option<Range<usize>>,
}

/// A setting as it stands in the file.
pub struct Setting<'d, 't> {
    document: &'d Document<'t>,
    pub(crate) key: String,
    span: Range<usize>,
    pub(crate) value: DeValue<'t>,
}

impl<'t> Document<'t> {
    /// The document that `text` is, as it stands in `file`.
    pub fn new(file: &Path, text: &'t str) -> Self {
        Self { file: file.to_owned(), text, errors: RefCell::default() }
    }

    /// Reads the document with `read`. Mistakes of syntax are reported alone: what they hide would be reported as absent.
    pub fn read<T>(self, read: impl FnOnce(&Section<'_, 't>) -> T) -> Result<T, Vec<ConfigError>> {
        let (root, mistakes) = DeTable::parse_recoverable(self.text);
        for mistake in &mistakes {
            self.report(mistake.span(), "", mistake.message(), "");
        }
        let root = Section::new(&self, String::new(), root.span(), root.into_inner());
        let value = mistakes.is_empty().then(|| {
            let value = read(&root);
            root.finish();
            value
        });
        let mut errors = self.errors.into_inner();
        errors.sort();
        errors.dedup();
        value.filter(|_| errors.is_empty()).ok_or(errors)
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1)
    }

    /// Records a mistake.
    pub fn report(&self, span: Option<Range<usize>>, key: &str, problem: &str, advice: &str) {
        let line = span.map(|span| self.line(span.start));
        self.errors.borrow_mut().push(ConfigError {
            file: self.file.clone(),
            line,
            key: key.to_owned(),
            problem: problem.to_owned(),
            advice: advice.to_owned(),
        });
    }
}

impl<'d, 't> Section<'d, 't> {
    fn new(document: &'d Document<'t>, name: String, span: Range<usize>, table: DeTable<'t>) -> Self {
        let (table, known, is_present) = (RefCell::new(table), RefCell::default(), Cell::new(true));
        Self { document, name, span, table, known, is_present }
    }

    /// Takes a setting out; `None` where it is absent.
    pub fn take(&self, key: &'static str) -> Option<Setting<'d, 't>> {
        let entry = self.table.borrow_mut().remove_entry(key);
        self.known.borrow_mut().push(Known { key, span: entry.as_ref().map(|(_, value)| value.span()) });
        let (_, value) = entry?;
        Some(self.setting(key, value))
    }

    /// Takes every remaining setting out, whatever its name: for tables whose keys are the operator's own names.
    pub fn take_all(&self) -> Vec<(String, Setting<'d, 't>)> {
        let rest = std::mem::take(&mut *self.table.borrow_mut());
        let settings = rest.into_iter().map(|(key, value)| {
            let key = key.into_inner().into_owned();
            let setting = self.setting(&key, value);
            (key, setting)
        });
        settings.collect()
    }

    /// A text.
    pub fn text(&self, key: &'static str) -> Option<String> {
        self.take(key)?.text("a text in quotes")
    }

    /// A text that `parse` understands; `expected` says what to write.
    pub fn parsed<T>(&self, key: &'static str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.take(key)?.parsed(expected, parse)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let find = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        self.parsed(key, &names.join(", "), find)
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let setting = self.take(key)?;
        let flag = setting.value.as_bool();
        if flag.is_none() {
            setting.report("it is not a truth value", "write true or false, without quotes");
        }
        flag
    }

    /// A whole number in a range.
    pub fn number(&self, key: &'static str, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
        let setting = self.take(key)?;
        let digits = setting.value.as_integer();
        let number = digits.and_then(|digits| usize::from_str_radix(digits.as_str(), digits.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let advice = format!("write a whole number from {} to {}", range.start(), range.end());
            setting.report("it is not a number in its range", &advice);
        }
        number
    }

    /// A duration such as `"2m"`, within bounds.
    pub fn duration(&self, key: &'static str, range: std::ops::RangeInclusive<Duration>) -> Option<Duration> {
        let expected = format!(
            "a duration such as \"250ms\", \"10s\", \"2m\", \"1h\", from {:?} to {:?}",
            range.start(),
            range.end()
        );
        self.parsed(key, &expected, |text| units::duration(text).filter(|duration| range.contains(duration)))
    }

    /// A size such as `"1MiB"`, within bounds, in bytes.
    pub fn size(&self, key: &'static str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let expected =
            format!("a size such as \"512B\", \"64KiB\", \"1MiB\", from {} to {} bytes", range.start(), range.end());
        self.parsed(key, &expected, |text| units::size(text).filter(|size| range.contains(size)))
    }

    /// A path; a relative one is relative to the file that names it.
    pub fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.parsed(key, "a path", |text| (!text.is_empty()).then(|| self.beside(text)))
    }

    /// A path relative to this file.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.document.file.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The name of an environment variable. A mistake is reported without the text: it may be the secret itself.
    pub fn variable(&self, key: &'static str) -> Option<String> {
        let setting = self.take(key)?;
        let is_name = |name: &str| {
            let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let name = setting.value.as_str().filter(|name| is_name(name)).map(str::to_owned);
        if name.is_none() {
            setting
                .report("it is not the name of an environment variable", "write a name such as \"PAYMENTS_PASSWORD\"");
        }
        name
    }

    /// A list of texts, none of them empty.
    pub fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        self.take(key)?.texts()
    }

    /// A moment: a date with time and zone, or a date, which stands for its beginning in UTC.
    pub fn moment(&self, key: &'static str) -> Option<Timestamp> {
        let setting = self.take(key)?;
        let written = setting.value.as_datetime().map(ToString::to_string);
        let moment = written.and_then(|text| {
            Timestamp::from_rfc_3339(&text).or_else(|| Timestamp::from_rfc_3339(&format!("{text}T00:00:00Z")))
        });
        if moment.is_none() {
            setting.report("it is not a moment", "write 2027-01-31, or 2027-01-31T18:00:00Z, without quotes");
        }
        moment
    }

    /// A table; an empty one where it is absent, so that every setting in it has its default.
    pub fn table(&self, key: &'static str) -> Self {
        match self.take(key) {
            Some(setting) => setting.section().unwrap_or_else(|| self.absent(key)),
            None => self.absent(key),
        }
    }

    /// An array of tables (`[[key]]`).
    pub fn tables(&self, key: &'static str) -> Vec<Self> {
        self.take(key).map(Setting::sections).unwrap_or_default()
    }

    /// The line that it begins at, counted from 1.
    pub fn line(&self) -> usize {
        self.document.line(self.span.start)
    }

    /// Whether the file has this table.
    pub fn is_present(&self) -> bool {
        self.is_present.get()
    }

    /// Records a mistake about a setting of this section, at its line if the file has it; an empty key means the section.
    pub fn report(&self, key: &str, problem: &str, advice: &str) {
        let span = self.span_of(key).unwrap_or_else(|| self.span.clone());
        self.document.report(Some(span), &join(&self.name, key), problem, advice);
    }

    /// The value; a mistake if the file does not have it. What it has but is wrong was reported where it was read.
    pub fn required<T>(&self, key: &'static str, value: Option<T>, advice: &str) -> Option<T> {
        if value.is_none() && self.span_of(key).is_none() {
            self.report(key, "it is absent", advice);
        }
        value
    }

    /// Whether the file has this setting, taken or not.
    pub fn holds(&self, key: &str) -> bool {
        self.table.borrow().contains_key(key) || self.span_of(key).is_some()
    }

    fn span_of(&self, key: &str) -> Option<Range<usize>> {
        let known = self.known.borrow();
        known.iter().find(|known| known.key == key).and_then(|known| known.span.clone())
    }

    /// Whether a mistake was found in this section.
    pub fn has_mistake(&self) -> bool {
        self.document.errors.borrow().iter().any(|error| error.key.starts_with(&self.name))
    }

    /// Refuses what nobody took.
    pub fn finish(self) {
        let known: Vec<_> = self.known.take().into_iter().map(|known| known.key).collect();
        let known = known.join(", ");
        for (key, value) in self.table.take() {
            let name = join(&self.name, key.get_ref());
            let advice = format!("the settings here are: {known}");
            self.document.report(Some(key.span().start..value.span().end), &name, "there is no such setting", &advice);
        }
    }

    fn absent(&self, key: &str) -> Self {
        let section = Self::new(self.document, join(&self.name, key), self.span.clone(), DeTable::new());
        section.is_present.set(false);
        section
    }

    fn setting(&self, key: &str, value: Spanned<DeValue<'t>>) -> Setting<'d, 't> {
        let (document, span, key) = (self.document, value.span(), join(&self.name, key));
        Setting { document, key, span, value: value.into_inner() }
    }
}

impl<'d, 't> Setting<'d, 't> {
    /// Records a mistake about this setting.
    pub fn report(&self, problem: &str, advice: &str) {
        self.document.report(Some(self.span.clone()), &self.key, problem, advice);
    }

    /// The text that it is.
    pub fn text(self, expected: &str) -> Option<String> {
        self.parsed(expected, |text| Some(text.to_owned()))
    }

    /// What `parse` makes of the text that it is.
    pub fn parsed<T>(self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let Some(text) = self.value.as_str() else {
            let problem = format!("it is {}, not a text", article(self.value.type_str()));
            self.report(&problem, &format!("write {expected}"));
            return None;
        };
        let value = parse(text);
        if value.is_none() {
            // Somebody may have put a connection string here, and its password must not be in a log.
            let shown: String = text.chars().take(60).collect();
            let problem = if text.contains('@') { "it".to_owned() } else { format!("{shown:?}") };
            self.report(&format!("{problem} is not understood"), &format!("write {expected}"));
        }
        value
    }

    /// The texts that it lists.
    pub fn texts(self) -> Option<Vec<String>> {
        let texts = self.value.as_array().map(|list| {
            let texts = list.iter().map(|entry| entry.get_ref().as_str().filter(|text| !text.is_empty()));
            texts.map(|text| text.map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        let texts = texts.flatten();
        if texts.is_none() {
            self.report("it is not a list of texts", "write [\"one\", \"two\"]");
        }
        texts
    }

    /// The table that it is.
    pub fn section(self) -> Option<Section<'d, 't>> {
        match self.value {
            DeValue::Table(table) => Some(Section::new(self.document, self.key, self.span, table)),
            _ => {
                self.report("it is not a table", &format!("write [{}] on a line of its own, or {{ … }}", self.key));
                None
            }
        }
    }

    /// The tables that it lists.
    fn sections(self) -> Vec<Section<'d, 't>> {
        let (document, key) = (self.document, self.key.clone());
        let advice = format!("write [[{key}]] on a line of its own");
        match self.value {
            DeValue::Array(list) => {
                let entries = list.into_iter().map(|entry| {
                    let (span, key) = (entry.span(), key.clone());
                    Setting { document, key, span, value: entry.into_inner() }.section()
                });
                entries.flatten().collect()
            }
            _ => {
                document.report(Some(self.span), &key, "it is not a list of tables", &advice);
                Vec::new()
            }
        }
    }
}

fn join(section: &str, key: &str) -> String {
    match (section.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (_, true) => section.to_owned(),
        _ => format!("{section}.{key}"),
    }
}

fn article(kind: &str) -> String {
    let is_vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if is_vowel { "an" } else { "a" })
}
