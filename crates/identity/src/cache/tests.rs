use super::*;

const START: Timestamp = Timestamp(1_800_000_000_000);

fn fetched() -> KeyCache {
    let mut cache = KeyCache::new(KeyTiming::default());
    assert!(cache.refresh_due(START));
    cache.fetched(KeySet::default(), START);
    cache
}

#[test]
fn the_first_keys_are_fetched_at_once() {
    let mut cache = KeyCache::new(KeyTiming::default());
    assert_eq!(cache.next_refresh(), Timestamp(0));
    assert_eq!(cache.keys().1, Timestamp(0));
    assert_eq!(cache.unknown_key(START), UnknownKey::Fetch);
    assert!(!cache.refresh_due(START));
    cache.fetched(KeySet::default(), START);
    assert_eq!(cache.keys().1, START.plus_millis(KeyTiming::default().max_age));
}

#[test]
fn one_fetch_at_a_time_and_the_others_wait_for_it() {
    let mut cache = fetched();
    let later = START.plus_millis(70_000);
    assert_eq!(cache.unknown_key(later), UnknownKey::Fetch);
    assert_eq!(cache.unknown_key(later.plus_millis(1)), UnknownKey::Await);
    assert!(!cache.refresh_due(later.plus_millis(3_600_000)));
    cache.fetched(KeySet::default(), later);
    assert_eq!(cache.unknown_key(later.plus_millis(59_999)), UnknownKey::Refuse);
    assert_eq!(cache.unknown_key(later.plus_millis(60_000)), UnknownKey::Fetch);
}

#[test]
fn a_failed_refresh_is_tried_again_after_the_least_interval() {
    let mut cache = fetched();
    let due = START.plus_millis(300_000);
    assert_eq!(cache.next_refresh(), due);
    assert!(!cache.refresh_due(Timestamp(due.0 - 1)));
    assert!(cache.refresh_due(due));
    cache.failed();
    assert_eq!(cache.next_refresh(), due.plus_millis(60_000));
    assert!(!cache.refresh_due(due.plus_millis(59_999)));
    assert!(cache.refresh_due(due.plus_millis(60_000)));
}

#[test]
fn a_slow_answer_does_not_make_old_keys_young() {
    let mut cache = fetched();
    let asked = START.plus_millis(300_000);
    assert!(cache.refresh_due(asked));
    cache.fetched(KeySet::default(), asked);
    assert_eq!(cache.next_refresh(), asked.plus_millis(300_000));
}

#[test]
fn a_clock_that_is_set_back_neither_stops_fetching_nor_keeps_keys_young() {
    let mut cache = fetched();
    let back = Timestamp(START.0 - 86_400_000);
    assert!(!cache.refresh_due(back));
    assert_eq!(cache.next_refresh(), back.plus_millis(300_000));
    assert_eq!(cache.keys().1, back.plus_millis(KeyTiming::default().max_age));
    assert!(cache.refresh_due(back.plus_millis(300_000)));
}
