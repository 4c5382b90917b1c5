//! A client without a driver: one connection to a server's Unix socket, the simple protocol, nothing in between. What
//! it shows is what the server said, down to the table and column that each field names.

use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};

use super::Postgres;

/// A connection as superuser.
#[derive(Debug)]
pub struct Plain {
    stream: BufReader<UnixStream>,
}

/// What one statement of a text answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The columns of its rows; none for a COPY.
    pub fields: Vec<Field>,
    /// Its rows in the text format; a COPY's lines as rows of one column.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    /// The command's tag.
    pub tag: String,
}

/// A column as RowDescription shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The table's oid and the column's number there; zero where the server names none.
    pub table: u32,
    /// See [`Self::table`].
    pub column: i16,
}

/// What a text led to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answers {
    /// One for each statement that ran.
    pub done: Vec<Answer>,
    /// The error that ended it: SQLSTATE and message.
    pub error: Option<(String, String)>,
}

impl Plain {
    /// Connects to a database of a server.
    pub fn connect(server: &Postgres, database: &str) -> Result<Self> {
        Self::connect_to(&server.socket_directory().join(format!(".s.PGSQL.{}", server.port())), database)
    }

    fn connect_to(socket: &std::path::Path, database: &str) -> Result<Self> {
        let stream = UnixStream::connect(socket).context("no connection to the server's socket")?;
        let mut plain = Self { stream: BufReader::new(stream) };
        // Protocol 3.0, then names and values that end in zeros.
        let start = format!("\0\x03\0\0user\0postgres\0database\0{database}\0application_name\0testkit\0\0");
        plain.send(None, start.as_bytes())?;
        let answers = plain.answers()?;
        match answers.error {
            Some((_, message)) => bail!("the server refused: {message}"),
            None => Ok(plain),
        }
    }

    /// Runs a text of one or more statements.
    pub fn run(&mut self, text: &str) -> Result<Answers> {
        self.send(Some(b'Q'), &[text.as_bytes(), b"\0"].concat())?;
        self.answers()
    }

    /// Runs a text that must not fail; its last statement's rows as text, NULL as nothing.
    pub fn rows(&mut self, text: &str) -> Result<Vec<Vec<String>>> {
        let answers = self.run(text)?;
        if let Some((_, message)) = answers.error {
            bail!("{message}, while running {text}");
        }
        let rows = answers.done.into_iter().last().unwrap_or_default().rows;
        let cell = |cell: Option<Vec<u8>>| String::from_utf8_lossy(&cell.unwrap_or_default()).into_owned();
        Ok(rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect())
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len() + 4)?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend(length.to_be_bytes());
        message.extend(body);
        Ok(self.stream.get_mut().write_all(&message)?)
    }

    /// Everything until ReadyForQuery, or until the server hangs up after an error.
    fn answers(&mut self) -> Result<Answers> {
        let mut answers = Answers::default();
        let mut open = Answer::default();
        loop {
            let (kind, body) = match self.message() {
                Ok(message) => message,
                Err(_) if answers.error.is_some() => return Ok(answers),
                Err(error) => return Err(error),
            };
            let mut body = Body(&body);
            match kind {
                b'Z' => return Ok(answers),
                b'T' => open.fields = body.fields()?,
                b'D' => open.rows.push(body.row()?),
                b'd' => open.rows.push(vec![Some(body.0.to_vec())]),
                b'C' => {
                    open.tag = body.text()?;
                    answers.done.push(std::mem::take(&mut open));
                }
                b'E' => {
                    open = Answer::default();
                    answers.error = Some(body.error()?);
                }
                b'R' if body.0 != [0; 4] => bail!("the server wants a password"),
                _ => {}
            }
        }
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length))?.checked_sub(4).context("a length below four")?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

/// The rest of a message.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("a message is too short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        Ok(self.take(LENGTH)?.try_into()?)
    }

    fn text(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0).context("a text without an end")?;
        let text = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Ok(text)
    }

    fn fields(&mut self) -> Result<Vec<Field>> {
        let count = i16::from_be_bytes(self.array()?);
        let mut fields = Vec::new();
        for _ in 0..count {
            let name = self.text()?;
            let table = u32::from_be_bytes(self.array()?);
            let column = i16::from_be_bytes(self.array()?);
            self.take(12)?;
            fields.push(Field { name, table, column });
        }
        Ok(fields)
    }

    fn row(&mut self) -> Result<Vec<Option<Vec<u8>>>> {
        let count = i16::from_be_bytes(self.array()?);
        let mut row = Vec::new();
        for _ in 0..count {
            let length = i32::from_be_bytes(self.array()?);
            row.push(match usize::try_from(length) {
                Ok(length) => Some(self.take(length)?.to_vec()),
                Err(_) => None,
            });
        }
        Ok(row)
    }

    fn error(&mut self) -> Result<(String, String)> {
        let (mut state, mut message) = (String::new(), String::new());
        loop {
            match self.array::<1>()? {
                [0] => return Ok((state, message)),
                [b'C'] => state = self.text()?,
                [b'M'] => message = self.text()?,
                _ => drop(self.text()?),
            }
        }
    }
}
