//! What says how something ended and is too long for one entry: what is needed least is left out, and that is said.

use std::sync::Arc;

use model::event::Event;

/// How many columns, or mistakes, an entry has room for in any case: names of 63 bytes, three to a column.
const SURELY: usize = 64;

/// How many bytes of mistakes an entry shows.
const MOST_OF_MISTAKES: usize = 32 * 1024;

/// Cuts an event that has no room in an entry; what is returned says so.
pub(super) fn cut(event: &mut Event) -> Option<Event> {
    match event {
        Event::Completed { request, disclosure, .. } if disclosure.columns.len() > SURELY => {
            let (session, number) = (request.session, request.number);
            if fits(event) {
                return None;
            }
            let Event::Completed { disclosure, .. } = event else { return None };
            let columns = std::mem::take(&mut disclosure.columns).len();
            let reason: Arc<str> = format!(
                "the answer to request {number} has {columns} classified columns: only its classes are counted"
            )
            .into();
            Some(Event::Gap { session: Some(session), reason })
        }
        Event::RevisionRefused { errors, .. } => {
            let mut left = MOST_OF_MISTAKES;
            let fitting = errors.iter().take_while(|error| {
                let fits = left.checked_sub(error.len().saturating_add(8));
                left = fits.unwrap_or(0);
                fits.is_some()
            });
            let (shown, all) = (fitting.count(), errors.len());
            if shown < all {
                errors.truncate(shown);
                errors.push(format!("and {} more: the log has them", all.saturating_sub(shown)));
            }
            None
        }
        _ => None,
    }
}

fn fits(event: &Event) -> bool {
    ledger::fits(&super::entry(event.clone()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail so")]

    use model::class::DataClass;
    use model::disclosure::{Counts, Disclosure};
    use model::effect::{ColumnName, TableName};
    use model::id::{Digest, SessionId};

    use super::*;

    fn completed(columns: usize) -> Event {
        let counts = Counts { clear: 1, masked: 2 };
        let long = "n".repeat(63);
        let table = TableName::new(long.as_str(), long.as_str());
        let column = |at: usize| ColumnName { table: table.clone(), name: format!("{at:063}").into() };
        let disclosure = Disclosure {
            rows: 1,
            bytes: 2,
            classes: [(DataClass::new("email"), counts)].into(),
            columns: (0..columns).map(|at| (column(at), counts)).collect(),
        };
        Event::Completed { request: SessionId::from_bits(7).request(3), disclosure, error: None, millis: 1 }
    }

    #[test]
    fn the_end_of_an_answer_of_any_width_has_an_entry() {
        for (columns, is_cut) in [(0, false), (SURELY, false), (300, false), (400, true), (1664, true)] {
            let mut event = completed(columns);
            let gap = cut(&mut event);
            assert!(fits(&event), "{columns}");
            assert_eq!(gap.is_some(), is_cut, "{columns}");
            let Event::Completed { disclosure, .. } = event else { panic!("another event") };
            assert_eq!(disclosure.columns.len(), if is_cut { 0 } else { columns });
            assert_eq!(disclosure.classes.len(), 1, "the classes are counted in any case");
        }
    }

    #[test]
    fn a_revision_of_any_number_of_mistakes_has_an_entry() {
        for (count, length) in [(3, 100), (10_000, 100), (2, 100_000)] {
            let mut event = Event::RevisionRefused { digest: Digest([1; 32]), errors: vec!["x".repeat(length); count] };
            assert!(cut(&mut event).is_none());
            assert!(fits(&event), "{count} of {length}");
            let Event::RevisionRefused { errors, .. } = event else { panic!("another event") };
            let said = errors.last().is_some_and(|last| last.starts_with("and "));
            assert_eq!(said, count * length > MOST_OF_MISTAKES);
        }
    }
}
