//! S3 and what speaks it: everyday calls through OpenDAL; locks, holds and versions by requests of our own.

use std::ops::ControlFlow;
use std::sync::Arc;

use vouchsafe_model::{Time, VaultPlace, Wire};

use super::dal::{DalStore, Shape};
use super::s3_objects::{Bucket, Condition};
use super::{Means, RemoteAccess, services, text_of};
use crate::open::OpenError;
use crate::{
    Capabilities, Erased, Key, LockMode, ObjectMeta, PutMode, Retention, Store, StoreError,
};

/// A part of a bucket.
pub(super) struct S3Store {
    everyday: DalStore,
    bucket: Bucket,
}

/// The region of services that know none.
const NO_REGION: &str = "us-east-1";

impl S3Store {
    pub(super) fn open(
        place: &VaultPlace,
        access: &RemoteAccess,
        means: &Means,
        wire: Wire,
    ) -> Result<Self, OpenError> {
        let VaultPlace::S3 {
            endpoint,
            bucket,
            prefix,
        } = place
        else {
            return Err(OpenError::BadUrl {
                reason: "it names no bucket",
            });
        };
        let name = place.to_string();
        let id = text_of(access.access_key.as_ref(), &name, "access_key")?;
        let secret = text_of(access.secret_key.as_ref(), &name, "secret_key")?;
        let region = access.signing_region.as_deref().unwrap_or(NO_REGION);
        let own = endpoint.as_deref().or(access.endpoint.as_deref());
        let usual = format!("https://s3.{region}.amazonaws.com");
        let address = own.unwrap_or(&usual);
        let mut service = opendal::services::S3::default()
            .bucket(bucket)
            .root(&format!("/{prefix}"))
            .endpoint(address)
            .region(region)
            .access_key_id(&id)
            .secret_access_key(&secret)
            .disable_config_load()
            .disable_ec2_metadata();
        // Services at an address of their own seldom have names for their buckets.
        let by_host = own.is_none() && !bucket.contains('.');
        if by_host {
            service = service.enable_virtual_host_style();
        }
        let operator = services::operator(service, &name, access, wire)?;
        let client = super::http::client(&name, wire, access.min_tls)?;
        let base = bucket_address(address, bucket, by_host);
        let secrets = services::secrets(access);
        let random = Arc::clone(&means.random);
        Ok(Self {
            everyday: DalStore::new(operator, name.clone(), secrets, Shape::Keys, random),
            bucket: Bucket::new(client, name, base, prefix.clone(), region, (&id, &secret)),
        })
    }
}

/// Where a bucket is: `https://bucket.host` or `https://host/bucket`.
fn bucket_address(address: &str, bucket: &str, by_host: bool) -> String {
    match address.split_once("://") {
        Some((scheme, host)) if by_host => format!("{scheme}://{bucket}.{host}"),
        _ => format!("{address}/{bucket}"),
    }
}

impl Store for S3Store {
    fn describe(&self) -> String {
        self.everyday.describe()
    }

    fn capabilities(&self) -> Capabilities {
        let state = self.bucket.state();
        Capabilities {
            retention_lock: state.is_some_and(|s| s.locks),
            versions: state.is_some_and(|s| s.versions),
            ..self.everyday.capabilities()
        }
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        self.everyday.get(key)
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        self.everyday.get_into(key, most, into)
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.everyday.get_range(key, offset, len)
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.everyday.head(key)
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        self.everyday.put(key, bytes, mode)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.everyday.delete(key)
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.everyday.list(prefix, visit)
    }

    fn put_locked(
        &self,
        key: &Key,
        bytes: &[u8],
        mode: PutMode,
        retention: Retention,
    ) -> Result<(), StoreError> {
        let condition = match mode {
            PutMode::Replace => Condition::None,
            PutMode::IfAbsent if self.everyday.condition_holds()? => Condition::IfAbsent,
            PutMode::IfAbsent if crate::exists(self, key)? => {
                let (key, store) = (key.to_string(), self.describe());
                return Err(StoreError::AlreadyExists { key, store });
            }
            PutMode::IfAbsent => Condition::None,
        };
        self.bucket.put_locked(key, bytes, condition, retention)
    }

    fn lock_until(&self, key: &Key, until: Time, mode: LockMode) -> Result<(), StoreError> {
        let held = self.bucket.retention(key)?;
        let Some(held) = held else {
            return self
                .bucket
                .set_retention(key, Retention { until, mode }, false);
        };
        // Neither the end nor the mode ever becomes less than it was.
        let wanted = Retention {
            until: held.until.max(until),
            mode: held.mode.max(mode),
        };
        if wanted == held {
            return Ok(());
        }
        self.bucket
            .set_retention(key, wanted, wanted.mode > held.mode)
    }

    fn retention(&self, key: &Key) -> Result<Option<Retention>, StoreError> {
        self.bucket.retention(key)
    }

    fn set_legal_hold(&self, key: &Key, held: bool) -> Result<(), StoreError> {
        self.bucket.set_legal_hold(key, held)
    }

    fn legal_hold(&self, key: &Key) -> Result<bool, StoreError> {
        self.bucket.legal_hold(key)
    }

    fn erase(&self, key: &Key) -> Result<Erased, StoreError> {
        // Whoever may not ask what the bucket keeps can remove no version either.
        if !self.bucket.state().is_some_and(|state| state.versions) {
            self.delete(key)?;
            return Ok(Erased {
                removed: 1,
                ..Erased::default()
            });
        }
        self.bucket.erase(key, || self.delete(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_addressed_by_host_at_aws_and_by_path_elsewhere() {
        assert_eq!(
            bucket_address("https://s3.eu-west-2.amazonaws.com", "b", true),
            "https://b.s3.eu-west-2.amazonaws.com"
        );
        assert_eq!(
            bucket_address("http://127.0.0.1:9", "b", false),
            "http://127.0.0.1:9/b"
        );
    }
}
