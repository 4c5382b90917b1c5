//! Tokens that only a certified provider can read.

use gateway::introspection::{Asked, Secrets};

use super::*;

fn settings(provider: &Provider, max_age: Duration) -> (IntrospectionConfig, Secrets) {
    let config = IntrospectionConfig {
        url: None,
        client_id: "sluice".to_owned(),
        client_secret: CredentialSource::Env("UNUSED".to_owned()),
        method: ClientAuthentication::Basic,
        token_prefix: None,
        max_age,
        max_outage: Duration::from_secs(300),
        ca_file: None,
    };
    let secret = provider.introspection_secret().to_owned();
    (config, Arc::new(move || Ok(Secret::new(secret.clone()))))
}

fn asking(provider: &Provider, max_age: Duration) -> TrustedIssuers {
    let (config, secret) = settings(provider, max_age);
    asking_with(provider, config, secret)
}

fn asking_with(provider: &Provider, config: IntrospectionConfig, secret: Secrets) -> TrustedIssuers {
    let issuers = trusting(&provider.url(), KeyTiming::default());
    issuers.ask(vec![Asked { issuer: Arc::new(issuer(&provider.url())), config, secret }]);
    issuers
}

async fn opaque(provider: &Arc<Provider>) -> String {
    let provider = Arc::clone(provider);
    blocking(move || provider.token(OPAQUE)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_only_its_issuer_can_read_is_asked_about_once_for_a_while() {
    let Some(provider) = provider().await else { return };
    let issuers = Arc::new(asking(&provider, Duration::from_secs(60)));
    let token = opaque(&provider).await;
    let many: tokio::task::JoinSet<_> = (0..30)
        .map(|_| {
            let (issuers, token) = (Arc::clone(&issuers), token.clone());
            async move { verify(&issuers, &token).await }
        })
        .collect();
    for subject in many.join_all().await {
        let subject = subject.unwrap();
        assert_eq!(subject.key.to_string(), "corp|order-service");
        assert_eq!(subject.groups.join(" "), "corp|cleared corp|orders-reader");
        let token_id = subject.token_id.unwrap();
        assert!(token_id.starts_with("sha256:") && !token_id.contains(&token), "{token_id}");
    }
    assert!(verify(&issuers, &token).await.is_ok());
    assert_eq!(provider.requests().unwrap().introspection, 1);
    // A JWT of the same provider is verified here, and shown to nobody.
    let asked = Arc::clone(&provider);
    let signed = blocking(move || asked.token("ES256")).await;
    assert!(verify(&issuers, &signed).await.is_ok());
    assert!(verify(&issuers, &signed[..signed.len() / 2]).await.is_err());
    assert!(verify(&issuers, "pass word").await.is_err());
    assert_eq!(provider.requests().unwrap().introspection, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_issuer_does_not_know_or_has_revoked_is_refused() {
    let Some(provider) = provider().await else { return };
    let issuers = asking(&provider, Duration::from_millis(500));
    assert_eq!(verify(&issuers, "nobody-made-this").await, Err(IdentityError::Inactive));
    assert_eq!(verify(&issuers, "nobody-made-this").await, Err(IdentityError::Inactive));
    assert_eq!(provider.requests().unwrap().introspection, 1, "that is known for a while as well");
    let token = opaque(&provider).await;
    assert!(verify(&issuers, &token).await.is_ok());
    let (asked, revoked) = (Arc::clone(&provider), token.clone());
    blocking(move || asked.revoke(&revoked)).await;
    let refused = async || verify(&issuers, &token).await.err();
    assert_eq!(eventually(LIMIT, "the revocation", refused).await.unwrap(), IdentityError::Inactive);
    // Whoever is not let in to ask believes nobody.
    let (config, _) = settings(&provider, Duration::from_secs(60));
    let wrong = Arc::new(|| Ok(Secret::new("wrong".to_owned())));
    let other = asking_with(&provider, config, wrong);
    let refused = verify(&other, &opaque(&provider).await).await;
    assert!(matches!(refused, Err(IdentityError::NotAsked { .. })), "{refused:?}");
    // Without introspection an opaque token is no token.
    let none = trusting(&provider.url(), KeyTiming::default());
    assert_eq!(verify(&none, &token).await, Err(IdentityError::NotCompact));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_away_or_slow_lets_nobody_new_in() {
    let Some(provider) = provider().await else { return };
    let issuers = asking(&provider, Duration::from_secs(60));
    let (known, other) = (opaque(&provider).await, opaque(&provider).await);
    assert!(verify(&issuers, &known).await.is_ok());
    let mut provider = Arc::into_inner(provider).unwrap();
    provider.stop().unwrap();
    assert!(verify(&issuers, &known).await.is_ok(), "it was asked about a moment ago");
    let refused = verify(&issuers, &other).await;
    assert!(matches!(refused, Err(IdentityError::NotAsked { .. })), "{refused:?}");
    provider.start_again().unwrap();
    let taken = async || verify(&issuers, &other).await.err().filter(|error| *error == IdentityError::Inactive);
    eventually(LIMIT, "to be asked again; it forgot its tokens", taken).await.unwrap();
    let provider = Arc::new(provider);
    let fresh = opaque(&provider).await;
    let asked = Arc::clone(&provider);
    blocking(move || asked.delay(Duration::from_secs(60))).await;
    let began = Instant::now();
    let refused = verify(&issuers, &fresh).await;
    assert!(matches!(refused, Err(IdentityError::NotAsked { .. })), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
