//! `memo`: small values that the host keeps for an adapter.

use crate::guest::bindings::infrahub_sync::adapter::memo as wit;
use crate::guest::state::HostState;
use crate::memo::{Lifetime, Memos};

fn kept(lifetime: wit::Lifetime) -> Lifetime {
    match lifetime {
        wit::Lifetime::Run => Lifetime::Run,
        wit::Lifetime::Lasting => Lifetime::Lasting,
    }
}

impl HostState {
    /// Uses the memos; where they are files on a thread that may block, while the guest's clock is stopped.
    async fn with_memos<T: Send + 'static>(
        &mut self,
        lifetime: Lifetime,
        work: impl FnOnce(&Memos) -> T + Send + 'static,
    ) -> wasmtime::Result<Option<T>> {
        // An adapter that describes itself has nothing to remember.
        let Some(memos) = self.grants.memos.clone() else { return Ok(None) };
        if !memos.are_files(lifetime) {
            return Ok(Some(work(&memos)));
        }
        let clock = self.clock.clone();
        Ok(Some(clock.pause(tokio::task::spawn_blocking(move || work(&memos))).await?))
    }
}

impl wit::Host for HostState {
    async fn get(&mut self, lifetime: wit::Lifetime, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        let lifetime = kept(lifetime);
        Ok(self.with_memos(lifetime, move |memos| memos.get(lifetime, &key)).await?.flatten())
    }

    async fn put(&mut self, lifetime: wit::Lifetime, key: String, value: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
        if self.grants.memos.is_none() {
            return Ok(value);
        }
        let lifetime = kept(lifetime);
        if lifetime == Lifetime::Lasting {
            self.count_file_change(key.len().saturating_add(value.len()))?;
        }
        Ok(self.with_memos(lifetime, move |memos| memos.put(lifetime, &key, value)).await?.unwrap_or_default())
    }
}
