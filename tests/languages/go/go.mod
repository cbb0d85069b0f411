module prober

go 1.24

require github.com/opsmill/infrahub-sync/sdk/go v0.1.0

replace github.com/opsmill/infrahub-sync/sdk/go => ../../../sdk/go
