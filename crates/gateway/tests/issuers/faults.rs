//! An issuer that fails as real ones do (ID-12): it is asked in bounds, and what is known of it ages.

use super::*;

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn id_12_whatever_is_wrong_with_an_issuer_its_known_keys_are_believed_until_they_are_too_old() {
    // One for each, side by side: each needs the time until the keys are too old.
    let faults = [Fault::ServerError, Fault::Down, Fault::Garbage, Fault::Oversized, Fault::Endless, Fault::Drip];
    let mut all = tokio::task::JoinSet::new();
    for fault in faults {
        all.spawn(async move {
            let source = testkit::issuer::Issuer::start().unwrap();
            let issuers = Arc::new(trusting(source.url(), QUICK));
            let token = source.issue(Grant::new("order-service")).unwrap();
            assert!(verify(&issuers, &token).await.is_ok());
            let keeping = Arc::clone(&issuers);
            let fresh = tokio::spawn(async move { keeping.keep_fresh().await });
            source.fail(fault);
            let failed = Instant::now();
            assert!(verify(&issuers, &token).await.is_ok(), "{fault:?}: its keys are known");
            let refused = async || verify(&issuers, &token).await.err();
            let reason = eventually(LIMIT, "the keys to be too old", refused).await.unwrap();
            assert!(matches!(reason, IdentityError::KeysTooOld { .. }), "{fault:?}: {reason}");
            // One that does not come to an end keeps a login for as long as a fetch may take, and no longer.
            assert!(failed.elapsed() < Duration::from_secs(25), "{fault:?}: {:?}", failed.elapsed());
            source.fail(Fault::None);
            let taken = async || verify(&issuers, &token).await.ok();
            eventually(LIMIT, "the issuer to be believed again", taken).await.unwrap();
            fresh.abort();
        });
    }
    while let Some(one) = all.join_next().await {
        one.unwrap();
    }
    assert!(resident() < 600 << 20, "a document without end was kept: {} MiB", resident() >> 20);
}
