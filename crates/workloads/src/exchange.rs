//! What passes in a pipelined exchange, both ways.

use anyhow::{Context, Result, ensure};
use wire::postgres::backend::{Backend, Field, TransactionStatus};
use wire::postgres::encode::{self, BindParts};
use wire::postgres::frame::{self, Limits, Phase};
use wire::postgres::frontend::{Execute, Frontend, Object, ObjectKind};
use wire::postgres::part::{Format, Text};
use wire::postgres::pipeline::{Pipeline, Push, Reply, Sent};

use crate::analysis;

/// How many statements are sent before an answer is read.
const STATEMENTS: usize = 16;
/// How many rows each of them has.
const ROWS: usize = 4;

/// The bytes of both ends.
pub struct Exchange {
    client: Vec<u8>,
    target: Vec<u8>,
    limits: Limits,
}

impl Exchange {
    /// Parse, Bind, Describe and Execute of each statement and one Sync, and the answers.
    ///
    /// # Errors
    /// If a message cannot be written.
    pub fn new() -> Result<Self> {
        let (mut client, mut target) = (Vec::new(), Vec::new());
        for _ in 0..STATEMENTS {
            asked(&mut client)?;
            answered(&mut target)?;
        }
        Frontend::Sync.encode(&mut client)?;
        Backend::ReadyForQuery(TransactionStatus::Idle).encode(&mut target)?;
        let exchange = Self { client, target, limits: Limits::default() };
        let messages = exchange.follow()?;
        ensure!(messages == STATEMENTS * (4 + 4 + ROWS) + 2, "{messages} messages are not what was sent");
        Ok(exchange)
    }

    /// How many bytes pass.
    pub const fn len(&self) -> usize {
        self.client.len() + self.target.len()
    }

    /// Whether nothing passes.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames and parses every message of both ends, and says which request each answer belongs to. Returns how many
    /// messages there were.
    ///
    /// # Errors
    /// If one of them is not as the protocol says.
    pub fn follow(&self) -> Result<usize> {
        let mut pipeline = Pipeline::new(TransactionStatus::Idle);
        let asked = self.ask(&mut pipeline)?;
        let answered = self.answer(&mut pipeline)?;
        ensure!(pipeline.is_empty(), "a request is without its answer");
        Ok(asked + answered)
    }

    fn ask(&self, pipeline: &mut Pipeline<usize>) -> Result<usize> {
        let (mut rest, mut count) = (self.client.as_slice(), 0);
        while let Some(header) = frame::frontend(rest, Phase::Ready, &self.limits)? {
            let frame = header.frame(rest).context("part of a message")?;
            let sent = match Frontend::parse(&frame)? {
                Frontend::Parse(_) => Sent::Parse,
                Frontend::Bind(_) => Sent::Bind,
                Frontend::Describe(_) => Sent::DescribePortal,
                Frontend::Execute(_) => Sent::Execute,
                _ => Sent::Sync,
            };
            ensure!(pipeline.push(sent, count) == Push::Forward, "a message is refused");
            rest = rest.get(header.length()..).context("part of a message")?;
            count += 1;
        }
        Ok(count)
    }

    fn answer(&self, pipeline: &mut Pipeline<usize>) -> Result<usize> {
        let (mut rest, mut count) = (self.target.as_slice(), 0);
        while let Some(header) = frame::backend(rest, Phase::Ready, &self.limits)? {
            let frame = header.frame(rest).context("part of a message")?;
            let message = Backend::parse(&frame)?;
            pipeline.receive(Reply::from(&message))?;
            rest = rest.get(header.length()..).context("part of a message")?;
            count += 1;
        }
        Ok(count)
    }
}

fn asked(out: &mut Vec<u8>) -> Result<()> {
    let empty = Text::default();
    encode::parse(out, b"", analysis::JOIN.as_bytes(), &[20])?;
    encode::bind(out, &BindParts { parameters: &[Some(b"4711")], ..BindParts::default() })?;
    Frontend::Describe(Object { kind: ObjectKind::Portal, name: empty }).encode(out)?;
    Frontend::Execute(Execute { portal: empty, max_rows: 0 }).encode(out)?;
    Ok(())
}

fn answered(out: &mut Vec<u8>) -> Result<()> {
    Backend::ParseComplete.encode(out)?;
    Backend::BindComplete.encode(out)?;
    let field = |name: &'static str, type_oid| Field {
        name: name.into(),
        table: 16_421,
        column: 1,
        type_oid,
        type_size: -1,
        type_modifier: -1,
        format: Format::Text,
    };
    encode::row_description(out, [field("id", 20), field("total", 1700), field("name", 25)])?;
    for _ in 0..ROWS {
        encode::data_row(out, [Some(b"104245".as_slice()), Some(b"249.90"), None])?;
    }
    Backend::CommandComplete("SELECT 4".into()).encode(out)?;
    Ok(())
}
