//! A certified provider whose keys change, which is away, or slow.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_while_tokens_of_both_are_about() {
    let Some(provider) = provider().await else { return };
    let issuers = trusting(&provider.url(), QUICK);
    let token = async || {
        let asked = Arc::clone(&provider);
        blocking(move || asked.token("PS256")).await
    };
    let rotate = async |keep: bool| {
        let asked = Arc::clone(&provider);
        blocking(move || asked.rotate_keys(keep)).await;
    };
    let first = token().await;
    assert!(verify(&issuers, &first).await.is_ok());
    rotate(true).await;
    let second = token().await;
    // The unknown key id makes it look, once the least time between two looks is over.
    let taken = async || verify(&issuers, &second).await.ok();
    eventually(LIMIT, "the new key", taken).await.unwrap();
    assert!(verify(&issuers, &first).await.is_ok(), "the old key is still published");
    // Withdrawn: believed until the next refresh, and then no more.
    rotate(false).await;
    let refused = async || {
        let _ = tokio::time::timeout(Duration::from_millis(50), issuers.keep_fresh()).await;
        verify(&issuers, &first).await.err()
    };
    let reason = eventually(LIMIT, "the old key to be gone", refused).await.unwrap();
    assert!(matches!(reason, IdentityError::UnknownKey { .. }), "{reason}");
    let third = token().await;
    assert!(verify(&issuers, &third).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn id_12_a_provider_that_is_away_is_believed_for_a_while_and_then_not_until_it_is_back() {
    let Some(provider) = provider().await else { return };
    let (url, token) = (provider.url(), provider.token("ES384").unwrap());
    let issuers = Arc::new(trusting(&url, QUICK));
    let began = Instant::now();
    assert!(verify(&issuers, &token).await.is_ok());
    let keeping = Arc::clone(&issuers);
    let fresh = tokio::spawn(async move { keeping.keep_fresh().await });
    let mut provider = Arc::into_inner(provider).unwrap();
    provider.stop().unwrap();
    let stopped = Instant::now();
    assert!(verify(&issuers, &token).await.is_ok(), "its keys are known");
    let refused = async || verify(&issuers, &token).await.err();
    let reason = eventually(LIMIT, "the keys to be too old", refused).await.unwrap();
    assert!(matches!(reason, IdentityError::KeysTooOld { .. }), "{reason}");
    // The last fetch was before it was stopped, and after the test began.
    let max_age = Duration::from_millis(QUICK.max_age);
    assert!(began.elapsed() >= max_age, "given up too early: after {:?}", began.elapsed());
    assert!(stopped.elapsed() < max_age + Duration::from_secs(5), "believed too long: {:?}", stopped.elapsed());
    provider.start_again().unwrap();
    let taken = async || verify(&issuers, &token).await.ok();
    eventually(LIMIT, "the provider to be believed again", taken).await.unwrap();
    fresh.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_keeps_nobody_waiting_whose_key_is_known() {
    let Some(provider) = provider().await else { return };
    // Two documents of two seconds each; and an unknown key is looked for at once.
    let timing = KeyTiming { min_interval: 0, ..KeyTiming::default() };
    let issuers = Arc::new(trusting(&provider.url(), timing));
    let (asked, other) = (Arc::clone(&provider), Arc::clone(&provider));
    let known = blocking(move || asked.token("EdDSA")).await;
    assert!(verify(&issuers, &known).await.is_ok());
    blocking(move || other.rotate_keys(true)).await;
    let asked = Arc::clone(&provider);
    let unknown = blocking(move || asked.token("EdDSA")).await;
    let asked = Arc::clone(&provider);
    blocking(move || asked.delay(Duration::from_secs(2))).await;
    let before = provider.requests().unwrap().jwks;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (issuers, unknown) = (Arc::clone(&issuers), unknown.clone());
        waiting.spawn(async move { verify(&issuers, &unknown).await });
    }
    // Whoever has a known key does not wait for those.
    for _ in 0..20 {
        let verified = tokio::time::timeout(Duration::from_millis(1500), verify(&issuers, &known)).await;
        assert!(verified.expect("it waited").is_ok());
    }
    assert!(waiting.join_all().await.iter().all(Result::is_ok));
    assert_eq!(provider.requests().unwrap().jwks - before, 1, "one fetch for all who waited");
}
