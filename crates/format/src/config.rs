//! The repository's `config` file: version, identity, chunker polynomial.

use serde::{Deserialize, Serialize};

use crate::chunker;
use crate::id::Id;
use crate::polynomial::Polynomial;

/// What holds for a whole repository. Stored as sealed JSON, never compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// 1 or 2; new repositories are 2.
    pub version: u32,
    /// The repository's identity: random, the digest of nothing.
    pub id: Id,
    /// By which all files are cut into chunks.
    pub chunker_polynomial: Polynomial,
}

/// The bytes are not a configuration that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not the JSON of a configuration.
    #[error("the repository's config is malformed")]
    Malformed(#[from] serde_json::Error),
    /// A version that is not known here.
    #[error("the repository has format version {version}; versions 1 and 2 can be read")]
    Version {
        /// The version found.
        version: u64,
    },
    /// The polynomial would not cut files evenly, or not at all.
    #[error("the repository's chunker polynomial is not irreducible with a degree of 8 to 53")]
    Polynomial,
}

impl Config {
    /// The JSON, in restic's order of keys.
    pub fn encode(&self) -> Vec<u8> {
        let Config {
            version,
            id,
            chunker_polynomial,
        } = self;
        format!(
            r#"{{"version":{version},"id":"{id}","chunker_polynomial":"{chunker_polynomial}"}}"#
        )
        .into_bytes()
    }

    /// Reads the opened config file.
    ///
    /// # Errors
    /// [`ConfigError`]; the version is judged before anything else, so that a
    /// later format is named as such.
    pub fn decode(json: &[u8]) -> Result<Config, ConfigError> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_slice(json)?;
        if !(1..=2).contains(&version) {
            return Err(ConfigError::Version { version });
        }
        let config: Config = serde_json::from_slice(json)?;
        let polynomial = config.chunker_polynomial;
        let degree = polynomial.degree().unwrap_or_default();
        if !chunker::DEGREES.contains(&degree) || !polynomial.is_irreducible() {
            return Err(ConfigError::Polynomial);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(version: &str, polynomial: &str) -> String {
        let id = "05".repeat(32);
        format!(r#"{{"version":{version},"id":"{id}","chunker_polynomial":"{polynomial}"}}"#)
    }

    #[test]
    fn a_config_round_trips() {
        let text = json("2", "3da3358b4dc173");
        let config = Config::decode(text.as_bytes()).unwrap();
        assert_eq!(config.version, 2);
        assert_eq!(config.encode(), text.as_bytes());
    }

    #[test]
    fn damage_is_refused_by_kind() {
        let of = |text: String| Config::decode(text.as_bytes()).unwrap_err();
        assert!(matches!(
            of(json("3", "3da3358b4dc173")),
            ConfigError::Version { version: 3 }
        ));
        assert!(matches!(
            of(json("0", "?")),
            ConfigError::Version { version: 0 }
        ));
        assert!(matches!(
            of(json("2", "3da3358b4dc171")),
            ConfigError::Polynomial
        ));
        assert!(matches!(of(json("2", "7")), ConfigError::Polynomial));
        assert!(matches!(of(json("2", "zz")), ConfigError::Malformed(_)));
        assert!(matches!(of("{}".into()), ConfigError::Malformed(_)));
    }
}
