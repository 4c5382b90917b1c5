//! Tokens of an issuer whose keys are at hand.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use identity::{Claims, Issuer, Issuers, KeySet, Proven, SigningKey};
use model::issuer::{Algorithm, ClaimPath};
use model::secret::Secret;
use model::subject::Subject;
use model::time::Timestamp;

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://id.example.com";

macro_rules! fixture {
    ($name:literal, $file:literal) => {
        (
            $name,
            include_str!(concat!("../fixture/", $file, ".jwks.json")),
            include_str!(concat!("../fixture/", $file, ".jwt")),
        )
    };
}

const JOSE: [(&str, &str, &str); 7] = [
    fixture!("RS384", "rs384"),
    fixture!("RS512", "rs512"),
    fixture!("PS256", "ps256"),
    fixture!("PS384", "ps384"),
    fixture!("PS512", "ps512"),
    fixture!("ES384", "es384"),
    fixture!("ES512", "es512"),
];

/// A token, and who issued it.
pub struct Token {
    issuers: Issuers,
    text: String,
}

impl Token {
    /// Signed by RS256, with a key of 2048 bits that was thrown away.
    ///
    /// # Errors
    /// If it is not good.
    pub fn rs256() -> Result<Self> {
        Self::of(include_str!("../fixture/rs256.jwks.json"), include_str!("../fixture/rs256.jwt").trim_end())
    }

    /// Signed by ES256, with a key that was thrown away.
    ///
    /// # Errors
    /// If it is not good.
    pub fn es256() -> Result<Self> {
        Self::of(include_str!("../fixture/es256.jwks.json"), include_str!("../fixture/es256.jwt").trim_end())
    }

    /// Signed by Ed25519, as Sluice's own are.
    ///
    /// # Errors
    /// If it is not good.
    pub fn ed25519() -> Result<Self> {
        let key = SigningKey::from_seed(&Secret::new([7; 32]))?;
        let claims = Claims {
            issuer: URL,
            audience: "sluice",
            subject: "order-service",
            groups: &["orders-reader".into(), "payments-apps".into()],
            lifetime: 300,
            token_id: "0190b3f2-7d4e",
        };
        Self::of(&key.jwks(), key.sign(&claims, Timestamp::from_seconds(NOW)).expose())
    }

    /// One for each algorithm, with its name. Those that are not above were signed by `jose` with keys that were thrown away;
    /// RSA keys have 2048 bits.
    ///
    /// # Errors
    /// If one is not good.
    pub fn of_each_algorithm() -> Result<Vec<(&'static str, Self)>> {
        let mut tokens = vec![("RS256", Self::rs256()?), ("ES256", Self::es256()?), ("EdDSA", Self::ed25519()?)];
        for (algorithm, jwks, text) in JOSE {
            tokens.push((algorithm, Self::of(jwks, text.trim_end())?));
        }
        Ok(tokens)
    }

    fn of(jwks: &str, text: &str) -> Result<Self> {
        let keys = KeySet::from_jwks(jwks.as_bytes(), &Algorithm::ALL.into())?;
        let issuer = Issuer { groups_claim: ClaimPath::new(["groups"]), ..Issuer::new("corp", URL, "sluice") };
        let issuers = Issuers::new().with_keys(Arc::new(issuer), Arc::new(keys));
        let token = Self { issuers, text: text.to_owned() };
        token.verify()?;
        Ok(token)
    }

    /// Verifies it.
    ///
    /// # Errors
    /// If it is not good.
    pub fn verify(&self) -> Result<Subject> {
        identity::verify(&self.text, &self.issuers, &Proven::NOTHING, Timestamp::from_seconds(NOW))
            .map_err(|error| anyhow!(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_are_good() {
        let all = Token::of_each_algorithm().unwrap();
        assert_eq!(all.len(), Algorithm::ALL.len());
        for (algorithm, token) in all {
            assert_eq!(&*token.verify().unwrap().key.id, "order-service", "{algorithm}");
        }
    }
}
