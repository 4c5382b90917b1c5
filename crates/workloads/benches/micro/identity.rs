use workloads::tokens::Token;

use crate::Criterion;

/// The issuer's keys are at hand.
pub(crate) fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("identity");
    let tokens = [("RS256", Token::rs256()), ("ES256", Token::es256()), ("EdDSA", Token::ed25519())];
    for (algorithm, token) in tokens {
        let token = token.unwrap();
        group.bench_function(format!("verify {algorithm}"), |bench| bench.iter(|| token.verify().unwrap()));
    }
    group.finish();
}
