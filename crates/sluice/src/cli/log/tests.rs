#![allow(clippy::unwrap_used, reason = "tests fail so")]

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Counts what gets through, by its text.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Written {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = String::new();
        event.record(&mut Message(&mut message));
        self.0.lock().unwrap().push(message);
    }
}

impl Written {
    fn count(&self, message: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|written| *written == message).count()
    }
}

/// A budget whose clock stands until it is set, and what got through.
fn at_rest() -> (Budget, Arc<AtomicU64>, Written, impl Subscriber) {
    let (begun, seconds) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let clock = Arc::clone(&seconds);
    let budget = Budget::new(move || begun + Duration::from_secs(clock.load(Ordering::Relaxed)));
    let written = Written::default();
    let subscriber = tracing_subscriber::registry().with(budget.clone()).with(written.clone());
    (budget, seconds, written, subscriber)
}

fn refused() {
    tracing::info!(reason = "theirs to choose", "refused");
}

#[test]
fn a_place_writes_its_budget_in_a_span_and_again_in_the_next() {
    let (budget, seconds, written, subscriber) = at_rest();
    let most = usize::try_from(LINES).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        (0..5000).for_each(|_| refused());
        assert_eq!(written.count("refused"), most);
        seconds.store(9, Ordering::Relaxed);
        refused();
        assert_eq!(written.count("refused"), most, "the span is not over");
        seconds.store(10, Ordering::Relaxed);
        refused();
        assert_eq!(written.count("refused"), most + 1);
    });
    let left_out = budget.take_left_out();
    assert_eq!(left_out.len(), 1);
    assert_eq!((left_out[0].lines, &*left_out[0].message, left_out[0].level), (4951, "refused", Level::INFO));
    assert_eq!(left_out[0].target, module_path!());
    assert!(budget.take_left_out().is_empty(), "it is said once");
}

#[test]
fn one_place_takes_nothing_from_another() {
    let (_, _, written, subscriber) = at_rest();
    tracing::subscriber::with_default(subscriber, || {
        (0..5000).for_each(|_| refused());
        tracing::error!("the journal cannot be written");
    });
    assert_eq!(written.count("the journal cannot be written"), 1);
}

#[test]
fn whoever_asks_for_more_gets_all_of_it() {
    let (budget, _, written, subscriber) = at_rest();
    tracing::subscriber::with_default(subscriber, || (0..500).for_each(|_| tracing::debug!("detail")));
    assert_eq!(written.count("detail"), 500);
    assert!(budget.take_left_out().is_empty());
}

#[test]
fn what_was_left_out_is_said_whatever_else_is_written() {
    let (budget, _, written, subscriber) = at_rest();
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..200 {
            (0..60).for_each(|_| refused());
            budget.tell_now();
        }
    });
    assert_eq!(written.count("lines were left out"), 200);
}
