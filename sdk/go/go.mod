module github.com/opsmill/infrahub-sync/sdk/go

go 1.24
