//! The certificates that an examiner trusts, and whether an authority leads to one of them.

use std::fmt;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::StampError;
use super::certificate::{Certificate, TIME_STAMPING};
use super::token::{Info, Parts};

/// Certificates of authorities that are trusted, as they were learnt elsewhere.
#[derive(Clone)]
pub struct StampRoots(Vec<CertificateDer<'static>>);

impl StampRoots {
    /// Reads all certificates of a text of PEM; what else stands in it is passed over.
    ///
    /// # Errors
    /// [`StampError::Roots`] if there is none, or one that cannot be read.
    pub fn parse(pem: &[u8]) -> Result<StampRoots, StampError> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let all = all.map_err(|_| StampError::Roots)?;
        let readable = all.iter().all(|der| {
            Certificate::parse(der).is_some() && webpki::anchor_from_trusted_cert(der).is_ok()
        });
        match all.is_empty() || !readable {
            true => Err(StampError::Roots),
            false => Ok(StampRoots(all)),
        }
    }

    /// Whether the signer of a token leads to one of them, each certificate on the way being valid when the time stamp
    /// was made.
    pub(super) fn lead(
        &self,
        parts: &Parts<'_>,
        signer: &Certificate<'_>,
        info: &Info,
    ) -> Result<(), String> {
        let valid = self.0.iter().filter(|der| {
            Certificate::parse(der).is_some_and(|root| root.is_valid_at(&info.second))
        });
        let anchors: Vec<_> = valid
            .filter_map(|der| webpki::anchor_from_trusted_cert(der).ok())
            .collect();
        if anchors.is_empty() {
            return Err(format!("no root was valid at {}", info.time));
        }
        let others: Vec<CertificateDer<'_>> = parts
            .certificates
            .iter()
            .filter(|der| **der != signer.whole)
            .map(|der| CertificateDer::from(*der))
            .collect();
        let der = CertificateDer::from(signer.whole);
        let signer = EndEntityCert::try_from(&der).map_err(|e| e.to_string())?;
        let seconds = u64::try_from(info.time.micros() / 1_000_000).unwrap_or_default();
        let path = signer.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &others,
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            // Some who issue say what they issue for, and then it must be this, too.
            KeyUsage::required_if_present(TIME_STAMPING),
            None,
            None,
        );
        path.map(drop).map_err(|e| e.to_string())
    }
}

impl fmt::Debug for StampRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StampRoots({})", self.0.len())
    }
}
