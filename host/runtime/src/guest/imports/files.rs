//! `files`: the one folder that the project granted.

use infrahub_sync_base::limits::Limit;
use wasmtime::component::Resource;

use crate::files::{self, Folder};
use crate::guest::bindings::infrahub_sync::adapter::files::{FileError, Host};
use crate::guest::state::HostState;
use crate::response::{Body, Full, HostResponse};

type Answer<T> = Result<T, FileError>;

impl HostState {
    /// Does file work on a thread that may block, while the guest's clock is stopped.
    async fn in_folder<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Folder) -> Result<T, files::FileError> + Send + 'static,
    ) -> wasmtime::Result<Result<T, FileError>> {
        let Some(folder) = self.grants.folder.clone() else {
            let reason = self.deny("no folder was granted to this adapter; its folder setting has no value".into());
            return Ok(Err(FileError::Denied(reason)));
        };
        let clock = self.clock.clone();
        let done = clock.pause(tokio::task::spawn_blocking(move || work(&folder))).await?;
        Ok(done.map_err(|error| match error {
            files::FileError::Denied(reason) => FileError::Denied(self.deny(reason)),
            files::FileError::NotFound => FileError::NotFound,
            files::FileError::TooLarge(bytes) => {
                self.exceed(Limit::ResponseSize, bytes);
                FileError::TooLarge(bytes)
            }
            files::FileError::Other(reason) => FileError::Other(reason),
        }))
    }

    fn hold_file(&mut self, bytes: Vec<u8>) -> Result<Resource<HostResponse>, FileError> {
        let response = HostResponse { status: 200, headers: Vec::new(), body: Body::new(bytes) };
        match self.responses.hold(response) {
            Ok(rep) => Ok(Resource::new_own(rep)),
            Err(Full::Bytes(bytes)) => {
                self.exceed(Limit::HeldSize, bytes);
                Err(FileError::TooLarge(bytes))
            }
            Err(Full::Count(count)) => {
                self.exceed(Limit::HeldResponses, count);
                Err(FileError::Other(format!("the call holds {count} responses; release some")))
            }
        }
    }
}

impl Host for HostState {
    async fn list(&mut self) -> wasmtime::Result<Answer<Vec<String>>> {
        self.in_folder(Folder::list).await
    }

    async fn read(&mut self, path: String) -> wasmtime::Result<Answer<Resource<HostResponse>>> {
        let read = self.in_folder(move |folder| folder.read(&path)).await?;
        Ok(read.and_then(|bytes| self.hold_file(bytes)))
    }

    async fn read_lines(
        &mut self,
        path: String,
        offset: u64,
        bytes_max: u32,
    ) -> wasmtime::Result<Answer<(Resource<HostResponse>, Option<u64>)>> {
        let read = self.in_folder(move |folder| folder.read_lines(&path, offset, bytes_max)).await?;
        Ok(read.and_then(|(bytes, next)| Ok((self.hold_file(bytes)?, next))))
    }

    async fn append(&mut self, path: String, bytes: Vec<u8>) -> wasmtime::Result<Answer<()>> {
        self.count_file_change(bytes.len())?;
        self.in_folder(move |folder| folder.append(&path, &bytes)).await
    }

    async fn replace(&mut self, from: String, to: String) -> wasmtime::Result<Answer<()>> {
        self.count_file_change(0)?;
        self.in_folder(move |folder| folder.replace(&from, &to)).await
    }

    async fn remove(&mut self, path: String) -> wasmtime::Result<Answer<()>> {
        self.count_file_change(0)?;
        self.in_folder(move |folder| folder.remove(&path)).await
    }
}
