use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn token(number: usize) -> TokenDigest {
    TokenDigest::of(&format!("token-{number}"))
}

fn active(asked_at: Timestamp) -> Result<Introspected, IdentityError> {
    Introspected::parse(br#"{"active":true}"#, asked_at)
}

#[test]
fn an_answer_counts_for_its_age_and_a_refusal_for_less() {
    let timing = AnswersTiming::default();
    let mut answers = Answers::new(timing);
    assert_eq!(answers.look(token(1), NOW), Answered::Ask);
    assert_eq!(answers.look(token(1), NOW), Answered::Await, "one question at a time");
    answers.answered(token(1), active(NOW), NOW).unwrap();
    let last = NOW.plus_millis(timing.max_age - 1);
    assert!(matches!(answers.look(token(1), last), Answered::Known(Ok(_))));
    assert_eq!(answers.look(token(1), NOW.plus_millis(timing.max_age)), Answered::Ask);

    let mut answers = Answers::new(timing);
    assert_eq!(answers.look(token(2), NOW), Answered::Ask);
    assert!(answers.answered(token(2), Err(IdentityError::Inactive), NOW).is_err());
    let last = NOW.plus_millis(timing.refused_age - 1);
    assert_eq!(answers.look(token(2), last), Answered::Known(Err(IdentityError::Inactive)));
    assert_eq!(answers.look(token(2), NOW.plus_millis(timing.refused_age)), Answered::Ask);
    // A clock that was set back makes no answer older than it is.
    assert_eq!(answers.look(token(1), NOW), Answered::Ask);
    let early = Timestamp(NOW.0 - 1);
    answers.answered(token(1), active(NOW), NOW).unwrap();
    assert_eq!(answers.look(token(1), early), Answered::Ask);
}

#[test]
fn what_is_asked_is_bounded_whatever_callers_send() {
    let timing = AnswersTiming::default();
    let mut answers = Answers::new(timing);
    let mut asked = 0_u32;
    for number in 0..10_000 {
        match answers.look(token(number), NOW) {
            Answered::Ask => {
                asked += 1;
                answers.given_up(token(number));
            }
            other => assert_eq!(other, Answered::Busy),
        }
    }
    assert_eq!(asked, timing.rate);
    // The next second has questions of its own, and no more may be under way than the bound says.
    let mut under_way = 0;
    for second in 1..10 {
        let now = NOW.plus_millis(second * 1000);
        under_way += (0..100).filter(|number| answers.look(token(*number), now) == Answered::Ask).count();
    }
    assert_eq!(under_way, MAX_UNDER_WAY);
}

#[test]
fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
    let mut answers = Answers::new(AnswersTiming::default());
    for number in 0..MAX_ANSWERS + 10 {
        let at = NOW.plus_millis(number.try_into().unwrap());
        answers.answered(token(number), active(at), at).unwrap();
    }
    assert_eq!(answers.answers.len(), MAX_ANSWERS);
    let now = NOW.plus_millis(10_011);
    assert_eq!(answers.look(token(9), now), Answered::Ask);
    assert!(matches!(answers.look(token(10), now), Answered::Known(Ok(_))));
    // A minute later nothing of it counts, and all of it makes room.
    let later = now.plus_millis(60_000);
    answers.answered(token(MAX_ANSWERS + 20), active(later), later).unwrap();
    assert_eq!(answers.answers.len(), 1);
}

#[test]
fn an_answer_that_is_known_can_be_asked_for_again() {
    let mut answers = Answers::new(AnswersTiming::default());
    answers.answered(token(1), active(NOW), NOW).unwrap();
    assert!(answers.ask_again(token(1)));
    assert!(!answers.ask_again(token(1)), "one question at a time");
    // Until it is answered, what is known counts.
    assert!(matches!(answers.look(token(1), NOW), Answered::Known(Ok(_))));
    let _ = answers.answered(token(1), Err(IdentityError::Inactive), NOW.plus_millis(1));
    assert_eq!(answers.look(token(1), NOW.plus_millis(1)), Answered::Known(Err(IdentityError::Inactive)));
}
