//! The names of the environment variables of this program.

/// The folder of the cache.
pub(crate) const CACHE: &str = "INFRAHUB_SYNC_CACHE_DIR";

/// Folders with custom adapters.
pub(crate) const ADAPTERS: &str = "INFRAHUB_SYNC_ADAPTER_PATHS";

/// The filter of the log.
pub(crate) const LOG: &str = "INFRAHUB_SYNC_LOG";

/// The variables, as `--help` shows them.
pub(crate) const TABLE: &str = "\
Environment:
  INFRAHUB_SYNC_CACHE_DIR      folder of the cache [default: ./.infrahub-sync-cache]
  INFRAHUB_SYNC_ADAPTER_PATHS  folders with custom adapters, separated as in PATH
  INFRAHUB_SYNC_LOG            log filter, as `target=level,…`; overrides --verbosity
  NO_COLOR                     disables colours if it is set and not empty";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_variable() {
        let shown: Vec<&str> = TABLE.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(shown, [CACHE, ADAPTERS, LOG, "NO_COLOR"]);
    }
}
