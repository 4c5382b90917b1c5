//! COPY … FROM STDIN: the fields of a stream that comes in any pieces, looked at and not changed.

use super::copy::{CopyFormat, SIGNATURE, csv, text};

/// The longest field that is looked at. Masks are as long as values of a class are, which is far less.
const LONGEST: usize = 1 << 20;

/// Reads the stream of one COPY that comes in. The first line is a row like any other, whether it is a header or not.
pub struct CopyReader {
    format: CopyFormat,
    /// Which of the columns are looked at.
    watched: Vec<bool>,
    /// The column that is being read.
    column: usize,
    field: Vec<u8>,
    state: State,
}

enum State {
    /// In a line of text; whether a backslash came before.
    Text { escaped: bool },
    /// In a line of CSV; whether inside quotes, and behind an escape there.
    Csv { inside: bool, escaped: bool },
    /// In the binary format: what comes next, and how many bytes of it are to come.
    Binary(Next, usize),
}

#[derive(Clone, Copy)]
enum Next {
    Header,
    Extension,
    Count,
    Length,
    Value,
}

impl CopyReader {
    /// Reads `format`, looking at the columns that are `watched`.
    pub fn new(format: CopyFormat, watched: Vec<bool>) -> Self {
        let state = match &format {
            // Nothing is found in what has no layout: the server does not take any such data.
            CopyFormat::Text(_) | CopyFormat::Unknown => State::Text { escaped: false },
            CopyFormat::Csv(_) => State::Csv { inside: false, escaped: false },
            CopyFormat::Binary => State::Binary(Next::Header, SIGNATURE.len() + 8),
        };
        Self { format, watched, column: 0, field: Vec::new(), state }
    }

    /// Takes the bytes of one CopyData. The first watched column of whose fields `find` says yes.
    pub fn feed(&mut self, bytes: &[u8], find: &mut dyn FnMut(usize, &[u8]) -> bool) -> Option<usize> {
        if let State::Binary(..) = self.state {
            return self.feed_binary(bytes, find);
        }
        bytes.iter().find_map(|byte| self.take(*byte, find))
    }

    /// Takes the end of the stream: the last line may have none of its own.
    pub fn end(&mut self, find: &mut dyn FnMut(usize, &[u8]) -> bool) -> Option<usize> {
        if let State::Binary(..) = self.state { None } else { self.field_ends(find) }
    }

    fn take(&mut self, byte: u8, find: &mut dyn FnMut(usize, &[u8]) -> bool) -> Option<usize> {
        let (plain, delimiter) = match (&mut self.state, &self.format) {
            (State::Text { escaped }, CopyFormat::Text(options)) => {
                let plain = !*escaped && byte != b'\\';
                *escaped = !*escaped && byte == b'\\';
                (plain, options.delimiter)
            }
            (State::Csv { inside, escaped }, CopyFormat::Csv(options)) => {
                let was_escaped = std::mem::take(escaped);
                if !was_escaped && *inside && byte == options.escape && options.escape != options.quote {
                    *escaped = true;
                } else if !was_escaped && byte == options.quote {
                    *inside = !*inside;
                }
                (!*inside, options.delimiter)
            }
            _ => return None,
        };
        let ends_line = plain && matches!(byte, b'\n' | b'\r');
        let ends_field = ends_line || (plain && byte == delimiter);
        if !ends_field {
            self.keep(&[byte]);
            return None;
        }
        let found = self.field_ends(find);
        self.column = if ends_line { 0 } else { self.column.saturating_add(1) };
        found
    }

    fn feed_binary(&mut self, mut bytes: &[u8], find: &mut dyn FnMut(usize, &[u8]) -> bool) -> Option<usize> {
        while let State::Binary(next, left) = self.state {
            let (part, rest) = bytes.split_at(left.min(bytes.len()));
            // What frames values is always kept.
            if matches!(next, Next::Header | Next::Count | Next::Length) {
                self.field.extend_from_slice(part);
            } else if matches!(next, Next::Value) {
                self.keep(part);
            }
            bytes = rest;
            if part.len() < left {
                self.state = State::Binary(next, left.saturating_sub(part.len()));
                return None;
            }
            let found = if matches!(next, Next::Value) { self.found(find) } else { None };
            self.state = self.after(next);
            self.field.clear();
            if found.is_some() {
                return found;
            }
            if bytes.is_empty() {
                return None;
            }
        }
        None
    }

    /// What follows in the binary format. The server refuses a stream of another shape.
    fn after(&mut self, next: Next) -> State {
        let word = self.field.last_chunk::<4>().map_or(0, |word| i32::from_be_bytes(*word));
        let length = usize::try_from(word).unwrap_or(0);
        match next {
            Next::Header if length > 0 => State::Binary(Next::Extension, length),
            Next::Header | Next::Extension => State::Binary(Next::Count, 2),
            Next::Count => {
                self.column = 0;
                let none = self.field.first_chunk::<2>().is_none_or(|count| i16::from_be_bytes(*count) <= 0);
                if none { State::Binary(Next::Count, 2) } else { self.expect(self.field_count()) }
            }
            Next::Length if length > 0 => State::Binary(Next::Value, length),
            Next::Length | Next::Value => {
                self.column = self.column.saturating_add(1);
                self.expect(self.watched.len())
            }
        }
    }

    fn field_count(&self) -> usize {
        self.field.first_chunk::<2>().map_or(0, |count| usize::from(u16::from_be_bytes(*count)))
    }

    /// The next field of `count`, or the next row. The server refuses a row of another width than the statement's.
    fn expect(&self, count: usize) -> State {
        if self.column < count { State::Binary(Next::Length, 4) } else { State::Binary(Next::Count, 2) }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let watched = self.watched.get(self.column).copied().unwrap_or(false);
        if watched && self.field.len() <= LONGEST {
            self.field.extend_from_slice(bytes);
        }
    }

    fn field_ends(&mut self, find: &mut dyn FnMut(usize, &[u8]) -> bool) -> Option<usize> {
        let mut decoded = Vec::new();
        let null = match &self.format {
            CopyFormat::Text(options) => {
                text::decode_input(&self.field, &mut decoded);
                self.field == options.null
            }
            CopyFormat::Csv(options) => {
                csv::field(options, &self.field, &mut decoded);
                self.field == options.null
            }
            CopyFormat::Binary | CopyFormat::Unknown => true,
        };
        self.field.clear();
        if null {
            return None;
        }
        self.field = decoded;
        let found = self.found(find);
        self.field.clear();
        found
    }

    fn found(&self, find: &mut dyn FnMut(usize, &[u8]) -> bool) -> Option<usize> {
        let watched = self.watched.get(self.column).copied().unwrap_or(false);
        let looked_at = watched && !self.field.is_empty() && self.field.len() <= LONGEST;
        (looked_at && find(self.column, &self.field)).then_some(self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{CsvFormat, TextFormat};

    /// What is seen of columns 1 and 2 when the stream comes cut at every place.
    fn seen(format: &CopyFormat, stream: &[u8]) -> Vec<(usize, String)> {
        let mut all: Option<Vec<(usize, String)>> = None;
        for cut in 0..=stream.len() {
            let mut seen = Vec::new();
            let mut find = |column: usize, value: &[u8]| {
                seen.push((column, String::from_utf8_lossy(value).into_owned()));
                false
            };
            let mut reader = CopyReader::new(format.clone(), vec![false, true, true]);
            let (head, tail) = stream.split_at(cut);
            assert_eq!(reader.feed(head, &mut find), None);
            assert_eq!(reader.feed(tail, &mut find), None);
            assert_eq!(reader.end(&mut find), None);
            assert_eq!(*all.get_or_insert_with(|| seen.clone()), seen, "cut at {cut}");
        }
        all.unwrap_or_default()
    }

    fn pairs(list: &[(usize, &str)]) -> Vec<(usize, String)> {
        list.iter().map(|(column, value)| (*column, (*value).to_owned())).collect()
    }

    #[test]
    fn text_is_read_wherever_it_is_cut() {
        let format = CopyFormat::Text(TextFormat::default());
        let stream = b"1\t\\x2a\\52**\\ta\t\\N\n2\ta\\\nb\tc\r\n3\tx\ty";
        let expected = [(1, "****\ta"), (1, "a\nb"), (2, "c"), (1, "x"), (2, "y")];
        assert_eq!(seen(&format, stream), pairs(&expected));
    }

    #[test]
    fn csv_is_read_wherever_it_is_cut() {
        let format = CopyFormat::Csv(CsvFormat::default());
        let stream = b"1,\"**\"\"\n,**\",b\n2,,\"\"\n3,a\"b\"c,d";
        assert_eq!(seen(&format, stream), pairs(&[(1, "**\"\n,**"), (2, "b"), (1, "abc"), (2, "d")]));
        let other = CopyFormat::Csv(CsvFormat { escape: b'\\', quote: b'\'', delimiter: b';', ..CsvFormat::default() });
        assert_eq!(seen(&other, b"1;'a\\'b;';c\n"), pairs(&[(1, "a'b;"), (2, "c")]));
    }

    #[test]
    fn binary_is_read_wherever_it_is_cut() {
        let mut stream = SIGNATURE.to_vec();
        stream.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2, 9, 9]);
        for row in [[Some("1"), Some("****1234"), None], [None, Some(""), Some("z")]] {
            stream.extend_from_slice(&3i16.to_be_bytes());
            for value in row {
                let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(0));
                stream.extend_from_slice(&length.to_be_bytes());
                stream.extend_from_slice(value.unwrap_or_default().as_bytes());
            }
        }
        stream.extend_from_slice(&[0xff, 0xff]);
        assert_eq!(seen(&CopyFormat::Binary, &stream), pairs(&[(1, "****1234"), (2, "z")]));
    }

    #[test]
    fn what_is_found_is_told_at_once() {
        let mut reader = CopyReader::new(CopyFormat::Text(TextFormat::default()), vec![true]);
        let mut find = |_: usize, value: &[u8]| value == b"mask";
        assert_eq!(reader.feed(b"a\nma", &mut find), None);
        assert_eq!(reader.feed(b"sk\nb", &mut find), Some(0));
        let mut last = CopyReader::new(CopyFormat::Text(TextFormat::default()), vec![true]);
        assert_eq!((last.feed(b"mask", &mut find), last.end(&mut find)), (None, Some(0)));
    }
}
