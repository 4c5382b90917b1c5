//! Runs: requests of one session that were allowed, ran the same statements and ended well, in one row.
//!
//! What they have in common is in the row's columns, as for a single request; what each has of its own is packed, one
//! [`Member`] behind the other. Who looks one up that is in a run takes it out first: from then on it has a row of its own.

use std::collections::HashMap;

use model::event::Shown;
use model::id::{RequestId, SessionId};
use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};

use super::super::codec::count;
use super::requests::{Ending, Open};
use crate::Error;

/// How long a run may last, in milliseconds: searches by time look so much further.
pub(in super::super) const LONGEST: i64 = 60_000;

/// How many requests a run may have.
const MOST: i64 = 512;

/// What a request in a run has of its own.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Member<V> {
    /// The position of the entry that decided it.
    pub(in super::super) position: i64,
    /// Its number in the session.
    pub(in super::super) number: i64,
    /// When it was decided.
    pub(in super::super) at: i64,
    /// When it ended.
    pub(in super::super) ended_at: i64,
    /// Rows delivered.
    pub(in super::super) rows: i64,
    /// Bytes delivered.
    pub(in super::super) bytes: i64,
    /// From forwarding to the end.
    pub(in super::super) millis: i64,
    /// Constants and parameters: `&[Shown]` on the way in.
    pub(in super::super) values: V,
}

impl<V> Member<V> {
    /// Likewise, with its numbers counted from those of another: small ones, which take one byte or two.
    fn counted_from(self, base: &Base) -> Self {
        Self {
            position: self.position.wrapping_sub(base.position),
            number: self.number.wrapping_sub(base.number),
            at: self.at.wrapping_sub(base.at),
            ended_at: self.ended_at.wrapping_sub(self.at),
            ..self
        }
    }

    /// What [`Self::counted_from`] was told.
    fn counted_up(self, base: &Base) -> Self {
        let at = self.at.wrapping_add(base.at);
        Self {
            position: self.position.wrapping_add(base.position),
            number: self.number.wrapping_add(base.number),
            at,
            ended_at: self.ended_at.wrapping_add(at),
            ..self
        }
    }
}

/// What a run's members are counted from: its first one.
#[derive(Serialize, Deserialize, Debug, Clone, Copy)]
struct Base {
    position: i64,
    number: i64,
    at: i64,
}

/// The members of a run, as they are stored.
fn pack<V: Serialize>(out: &mut Vec<u8>, member: &V) -> Result<(), Error> {
    *out = postcard::to_extend(member, std::mem::take(out)).map_err(|_| Error::Corrupt("a run"))?;
    Ok(())
}

/// Reads what is stored of a run.
pub(in super::super) fn members(stored: &[u8]) -> Result<Vec<Member<Vec<Shown>>>, Error> {
    let corrupt = |_| Error::Corrupt("a run");
    let (base, mut rest) = postcard::take_from_bytes::<Base>(stored).map_err(corrupt)?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (member, behind) = postcard::take_from_bytes::<Member<_>>(rest).map_err(corrupt)?;
        found.push(member.counted_up(&base));
        rest = behind;
    }
    Ok(found)
}

/// What requests of a run have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Common {
    session: SessionId,
    subject: Option<i64>,
    target: Option<i64>,
    ruling: i64,
    revision: i64,
    behalf: Option<i64>,
}

/// A run that grows.
#[derive(Debug)]
struct Growing {
    base: Base,
    times: (i64, i64),
    numbers: (i64, i64),
    count: i64,
    rows: i64,
    answered: i64,
    members: Vec<u8>,
}

impl Growing {
    fn of(base: Base) -> Result<Self, Error> {
        let mut members = Vec::new();
        pack(&mut members, &base)?;
        let (times, numbers) = ((base.at, base.at), (base.number, base.number));
        Ok(Self { base, times, numbers, count: 0, rows: 0, answered: 0, members })
    }

    /// Whether a request that was decided then has room in it.
    const fn takes(&self, at: i64) -> bool {
        let near = at.saturating_sub(self.times.0) <= LONGEST && self.times.1.saturating_sub(at) <= LONGEST;
        near && self.count < MOST
    }

    fn push<V: Serialize>(&mut self, member: Member<V>) -> Result<(), Error> {
        self.times = (self.times.0.min(member.at), self.times.1.max(member.at));
        self.numbers = (self.numbers.0.min(member.number), self.numbers.1.max(member.number));
        self.count = self.count.saturating_add(1);
        self.rows = self.rows.saturating_add(member.rows);
        self.answered = self.answered.saturating_add(i64::from(member.rows > 0));
        pack(&mut self.members, &member.counted_from(&self.base))
    }

    fn enter(&self, tx: &Transaction<'_>, common: &Common) -> Result<(), Error> {
        let sql =
            "INSERT INTO runs (id, first_at, last_at, session, first_number, last_number, subject, target, ruling,
                                     revision, behalf, count, row_count, answered, members)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        tx.prepare_cached(sql)?.execute(params![
            self.base.position,
            self.times.0,
            self.times.1,
            common.session.bits().cast_signed(),
            self.numbers.0,
            self.numbers.1,
            common.subject,
            common.target,
            common.ruling,
            common.revision,
            common.behalf,
            self.count,
            self.rows,
            self.answered,
            self.members,
        ])?;
        Ok(())
    }
}

/// The runs that grow in one transaction.
#[derive(Default, Debug)]
pub(super) struct Runs {
    growing: HashMap<Common, Growing>,
    /// The highest number of each session that the index has something of.
    highest: HashMap<SessionId, i64>,
}

impl Runs {
    /// Takes a request that is decided and has ended, if it is one for a run.
    pub(super) fn take(&mut self, tx: &Transaction<'_>, open: &Open<'_>, ending: &Ending<'_>) -> Result<bool, Error> {
        let (Some(ruling), true, true) = (open.ruling, open.decision.is_plain(), ending.is_plain()) else {
            return Ok(false);
        };
        let common = Common {
            session: open.id.session,
            subject: open.subject,
            target: open.target,
            ruling,
            revision: count(open.decision.revision.0),
            behalf: open.behalf,
        };
        let number = open.id.number.cast_signed();
        let member = Member {
            position: open.position,
            number,
            at: open.at,
            ended_at: ending.at,
            rows: count(ending.disclosure.rows),
            bytes: count(ending.disclosure.bytes),
            millis: count(ending.millis),
            values: open.decision.values,
        };
        let base = Base { position: member.position, number, at: member.at };
        let growing = match self.growing.entry(common) {
            std::collections::hash_map::Entry::Vacant(place) => place.insert(Growing::of(base)?),
            std::collections::hash_map::Entry::Occupied(place) => {
                let growing = place.into_mut();
                if !growing.takes(member.at) {
                    std::mem::replace(growing, Growing::of(base)?).enter(tx, &common)?;
                }
                growing
            }
        };
        growing.push(member)?;
        self.knows(open.id);
        Ok(true)
    }

    /// Enters all that grow.
    pub(super) fn finish(&mut self, tx: &Transaction<'_>) -> Result<(), Error> {
        self.growing.drain().try_for_each(|(common, growing)| growing.enter(tx, &common))
    }

    /// Whether the index may have something of a request. It seldom has: numbers go up.
    pub(super) fn may_know(&mut self, tx: &Transaction<'_>, id: RequestId) -> Result<bool, Error> {
        let highest = match self.highest.get(&id.session) {
            Some(known) => *known,
            None => {
                let found = highest(tx, id.session)?.unwrap_or(i64::MIN);
                *self.highest.entry(id.session).or_insert(found)
            }
        };
        Ok(id.number.cast_signed() <= highest)
    }

    /// The index has something of a request now.
    pub(super) fn knows(&mut self, id: RequestId) {
        let number = id.number.cast_signed();
        let highest = self.highest.entry(id.session).or_insert(number);
        *highest = number.max(*highest);
    }

    /// Gives a request that is in a run a row of its own.
    pub(super) fn take_out(&mut self, tx: &Transaction<'_>, id: RequestId) -> Result<(), Error> {
        let (session, number) = (id.session, id.number.cast_signed());
        self.finish(tx)?;
        let sql = "SELECT id, members FROM runs WHERE session = ?1 AND last_number >= ?2 AND first_number <= ?2";
        let key = [session.bits().cast_signed(), number];
        let candidates: Vec<(i64, Vec<u8>)> =
            tx.prepare_cached(sql)?.query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for (run, stored) in candidates {
            let (found, others): (Vec<_>, Vec<_>) =
                members(&stored)?.into_iter().partition(|member| member.number == number);
            if let [member] = found.as_slice() {
                single_out(tx, run, member)?;
                return shrink(tx, run, others);
            }
        }
        Ok(())
    }
}

fn highest(tx: &Transaction<'_>, session: SessionId) -> Result<Option<i64>, Error> {
    let sql = "SELECT max(number) FROM (SELECT max(last_number) AS number FROM runs WHERE session = ?1
                                        UNION ALL SELECT max(number) FROM requests WHERE session = ?1)";
    Ok(tx.prepare_cached(sql)?.query_row([session.bits().cast_signed()], |row| row.get(0))?)
}

/// Enters a member of a run as a request.
fn single_out(tx: &Transaction<'_>, run: i64, member: &Member<Vec<Shown>>) -> Result<(), Error> {
    let sql = "INSERT INTO requests (id, at, session, number, subject, target, ruling, outcome, was_asked, revision,
                                     behalf, shown, ended_at, row_count, bytes, millis)
               SELECT ?2, ?3, session, ?4, subject, target, ruling, 'allow', 0, revision, behalf, ?5, ?6, ?7, ?8, ?9
               FROM runs WHERE id = ?1";
    tx.prepare_cached(sql)?.execute(params![
        run,
        member.position,
        member.at,
        member.number,
        super::super::codec::to_json(&member.values, "values")?,
        member.ended_at,
        member.rows,
        member.bytes,
        member.millis,
    ])?;
    Ok(())
}

/// Leaves only these in a run.
fn shrink(tx: &Transaction<'_>, run: i64, others: Vec<Member<Vec<Shown>>>) -> Result<(), Error> {
    let Some(first) = others.first() else {
        tx.prepare_cached("DELETE FROM runs WHERE id = ?")?.execute([run])?;
        return Ok(());
    };
    let mut rest = Growing::of(Base { position: first.position, number: first.number, at: first.at })?;
    others.into_iter().try_for_each(|member| rest.push(member))?;
    let sql = "UPDATE runs SET id = ?2, first_at = ?3, last_at = ?4, first_number = ?5, last_number = ?6, count = ?7,
                   row_count = ?8, answered = ?9, members = ?10
               WHERE id = ?1";
    tx.prepare_cached(sql)?.execute(params![
        run,
        rest.base.position,
        rest.times.0,
        rest.times.1,
        rest.numbers.0,
        rest.numbers.1,
        rest.count,
        rest.rows,
        rest.answered,
        rest.members,
    ])?;
    Ok(())
}
