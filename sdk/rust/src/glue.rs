//! Connects the generated bindings with the [`Adapter`] trait. Authors never name anything in here.

use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::bindings::exports::infrahub_sync::adapter::{destination, meta, schema, source};
use crate::{Adapter, Error, Result};

thread_local! {
    // A component has one adapter and wasm32 one thread, so one untyped cell serves any exported type.
    static CONFIGURED: RefCell<Option<Rc<dyn Any>>> = const { RefCell::new(None) };
}

/// The component that an adapter becomes.
#[derive(Debug)]
pub struct Component<A>(PhantomData<A>);

/// Runs a call on the configured adapter.
fn with<A: Adapter, T>(call: impl FnOnce(&A) -> Result<T>) -> Result<T> {
    let adapter = CONFIGURED.with_borrow(Clone::clone).and_then(|any| any.downcast::<A>().ok());
    match adapter {
        Some(adapter) => call(&adapter),
        None => Err(Error::internal("the adapter was called before it was configured")),
    }
}

/// Sends the messages of panics to the host's log: wasm32-unknown-unknown has no stderr.
fn log_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
}

impl<A: Adapter> meta::Guest for Component<A> {
    fn describe() -> meta::Manifest {
        log_panics();
        A::manifest()
    }

    fn configure(settings: String) -> Result<()> {
        log_panics();
        let adapter = A::configure(&settings)?;
        CONFIGURED.set(Some(Rc::new(adapter)));
        Ok(())
    }
}

impl<A: Adapter> schema::Guest for Component<A> {
    fn kinds(targets: Vec<schema::Target>) -> Result<Vec<schema::Kind>> {
        with(|adapter: &A| adapter.kinds(&targets))
    }
}

impl<A: Adapter> source::Guest for Component<A> {
    fn load(request: source::LoadRequest) -> Result<source::Page> {
        with(|adapter: &A| adapter.load(&request)).map(into_contract)
    }

    fn absent(target: source::Target, ids: Vec<String>) -> Result<Vec<source::Absence>> {
        with(|adapter: &A| adapter.absent(&target, &ids))
    }
}

impl<A: Adapter> destination::Guest for Component<A> {
    fn begin(run: destination::Run) -> Result<Option<String>> {
        with(|adapter: &A| adapter.begin(&run))
    }

    fn write(request: destination::WriteRequest) -> Result<Vec<destination::Outcome>> {
        with(|adapter: &A| adapter.write(&request))
    }

    fn commit(kinds: Vec<String>) -> Result<()> {
        with(|adapter: &A| adapter.commit(&kinds))
    }

    fn cascade(target: destination::Target, ids: Vec<String>) -> Result<Vec<destination::Dependents>> {
        with(|adapter: &A| adapter.cascade(&target, &ids))
    }

    fn finish(run: destination::Run, result: destination::RunResult) -> Result<Option<String>> {
        with(|adapter: &A| adapter.finish(&run, result))
    }
}

/// Turns our page into the contract's, which takes the response's handle away from the adapter.
#[cfg(target_arch = "wasm32")]
fn into_contract(page: crate::Page) -> source::Page {
    let payload = match page.payload {
        crate::Payload::Document(document) => source::Payload::Document(source::Document {
            response: document.response.into_inner(),
            layout: document.layout,
            pointer: document.pointer,
            projection: document.projection,
        }),
        crate::Payload::JsonLines(lines) => source::Payload::JsonLines(lines),
        crate::Payload::Columns(columns) => source::Payload::Columns(columns),
    };
    let crate::Page { next, watermark, deleted, total, partial, .. } = page;
    source::Page { payload, next, watermark, deleted, total, partial }
}

/// Natively there is no host to hand a page to.
#[cfg(not(target_arch = "wasm32"))]
fn into_contract(_: crate::Page) -> source::Page {
    unreachable!("exports are called in a component only")
}
