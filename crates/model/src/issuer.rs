//! An issuer of identities, as the configuration meant it: whom Sluice believes, about what, and how its tokens look.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One trusted issuer. `store` reads it from `[[issuer]]`, `identity` verifies tokens by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issuer {
    /// What subjects and groups of this issuer are prefixed with; holds no `|`.
    pub alias: Arc<str>,
    /// The `iss` of its tokens, compared byte by byte.
    pub url: Arc<str>,
    /// The `aud` values that mean Sluice, compared byte by byte. Never empty.
    pub audiences: BTreeSet<Arc<str>>,
    /// The kind of token it issues.
    pub profile: Profile,
    /// The signature algorithms that its keys may be used with. Never empty.
    pub algorithms: BTreeSet<Algorithm>,
    /// Whether its subjects are machines or people.
    pub kind: KindRule,
    /// The claim that names the subject: `sub` unless the issuer's `sub` is not stable.
    pub id_claim: Arc<str>,
    /// Where its tokens list groups; `None` when they list none.
    pub groups_claim: Option<ClaimPath>,
    /// Further claims that each make a group of what they say.
    pub group_claims: Vec<GroupClaim>,
    /// The groups that policies name without the issuer's alias.
    pub bare_groups: BareGroups,
    /// The longest `exp - iat` that is accepted, in seconds.
    pub max_lifetime: u64,
    /// How far the issuer's clock may be ahead of ours, in seconds: for `iat` and `nbf`. It never prolongs `exp`.
    pub leeway: u64,
    /// Whether its security events (RFC 8417) are believed.
    pub events: bool,
}

impl Issuer {
    /// The most that [`Issuer::max_lifetime`] can be, in seconds: 7 days. What was issued longer ago has ended.
    pub const LONGEST_LIFETIME: u64 = 7 * 86_400;

    /// The most that [`Issuer::leeway`] can be, in seconds.
    pub const LONGEST_LEEWAY: u64 = 120;

    /// The default of [`Issuer::max_lifetime`], in seconds: one hour.
    pub const MAX_LIFETIME: u64 = 3600;

    /// An issuer of RFC 9068 access tokens for machines, with every asymmetric algorithm and the default bounds.
    pub fn new(alias: impl Into<Arc<str>>, url: impl Into<Arc<str>>, audience: impl Into<Arc<str>>) -> Self {
        Self {
            alias: alias.into(),
            url: url.into(),
            audiences: BTreeSet::from([audience.into()]),
            profile: Profile::default(),
            algorithms: Algorithm::ALL.into(),
            kind: KindRule::default(),
            id_claim: "sub".into(),
            groups_claim: None,
            group_claims: Vec::new(),
            bare_groups: BareGroups::default(),
            max_lifetime: Self::MAX_LIFETIME,
            leeway: 0,
            events: false,
        }
    }
}

/// What kind of token an issuer issues. It fixes `typ` and the claims that tell an access token from an ID token, a
/// logout token or a proof (RFC 8725, 3.11 and 3.12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Profile {
    /// OAuth 2.0 JWT access tokens: `typ` is `at+jwt`.
    #[default]
    Rfc9068,
    /// Keycloak access tokens: `typ` is `JWT` and the claim `typ` is `Bearer`.
    Keycloak,
    /// Kubernetes service account tokens: no `typ` or `JWT`, and the claim `kubernetes.io`.
    Kubernetes,
    /// GitHub Actions: `typ` is `JWT`, and the claims `repository` and `workflow_ref`.
    Github,
    /// GitLab CI: `typ` is `JWT`, and the claims `project_path` and `pipeline_id`.
    Gitlab,
    /// SPIFFE JWT-SVIDs: no `typ`, `JWT` or `JOSE`, and the subject is a SPIFFE id.
    JwtSvid,
    /// Microsoft Entra ID access tokens, managed identities among them: `typ` is `JWT`, `ver` is `1.0` with `appid` or
    /// `2.0` with `azp`, and the claims `tid` and `oid`.
    Entra,
    /// Google service accounts' identity tokens: `typ` is `JWT`, and `email` is a verified address of a service account.
    Google,
    /// Okta access tokens of a custom authorization server: no `typ` or `JWT`, the claim `cid`, and a `jti` of `AT.`.
    Okta,
    /// AWS STS web identity tokens (`GetWebIdentityToken`): `typ` is `JWT`, and the claim `https://sts.amazonaws.com/`.
    Aws,
    /// OpenID Connect ID tokens: no `typ` or `JWT`. Only for issuers that have nothing better.
    IdToken,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 11] = [
        Self::Rfc9068,
        Self::Keycloak,
        Self::Kubernetes,
        Self::Github,
        Self::Gitlab,
        Self::JwtSvid,
        Self::Entra,
        Self::Google,
        Self::Okta,
        Self::Aws,
        Self::IdToken,
    ];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc9068 => "rfc9068",
            Self::Keycloak => "keycloak",
            Self::Kubernetes => "kubernetes",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::JwtSvid => "jwt-svid",
            Self::Entra => "entra",
            Self::Google => "google",
            Self::Okta => "okta",
            Self::Aws => "aws",
            Self::IdToken => "id-token",
        }
    }
}

/// A signature algorithm (RFC 7518, RFC 8037). Symmetric ones and `none` have no name here, so nothing can ask for them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// How it is known whether a subject is a machine or a person.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum KindRule {
    /// All are machines.
    #[default]
    Service,
    /// All are people.
    User,
    /// Those whose tokens have this claim with this text are people; all others are machines.
    UserIf {
        /// The claim.
        claim: Arc<str>,
        /// Its text for a person.
        value: Arc<str>,
    },
}

/// A claim inside claims, such as `realm_access.roles`. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimPath(Vec<Arc<str>>);

impl ClaimPath {
    /// The path of these names, from the outside in; `None` unless there is one and all have text.
    pub fn new(names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Option<Self> {
        let names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
        let is_valid = !names.is_empty() && names.iter().all(|name| !name.is_empty());
        is_valid.then_some(Self(names))
    }

    /// The names, from the outside in.
    pub fn names(&self) -> &[Arc<str>] {
        &self.0
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join("."))
    }
}

/// A claim that is no list of groups, and says something that policies go by: `repository`, `environment`, a namespace.
/// Each text in it makes the group `prefix:text`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupClaim {
    /// What the group's name begins with; holds no `:` and no `|`.
    pub prefix: Arc<str>,
    /// Where the claim is.
    pub path: ClaimPath,
}

/// Which groups of an issuer policies name by their bare name; the rest are `alias|group`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BareGroups {
    /// These alone.
    Only(BTreeSet<Arc<str>>),
    /// All: for the one issuer that the operator trusts to name groups for everybody.
    All,
}

impl Default for BareGroups {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// The text names none of the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a known name")]
pub struct UnknownName;

impl FromStr for Profile {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or(UnknownName)
    }
}

/// Exact, case included. `Ed25519` (RFC 9864) is the fully specified name of what JOSE first called `EdDSA`.
impl FromStr for Algorithm {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let text = if text == "Ed25519" { "EdDSA" } else { text };
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(UnknownName)
    }
}
