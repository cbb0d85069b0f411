package adapter

// SettingType says how a setting's value is checked.
type SettingType string

const (
	// Text is the type of a setting that names none.
	Text    SettingType = "text"
	Boolean SettingType = "boolean"
	Integer SettingType = "integer"
	Float   SettingType = "float"
	// AnyJSON is any JSON value.
	AnyJSON SettingType = "json"
)

// Setting is a setting. The host takes the first of: the environment variables in their order, `settings` in config.yml, the default.
type Setting struct {
	Name string
	// Help is one line for the user.
	Help string
	// Type is Text when it is empty.
	Type     SettingType
	Required bool
	// Secret: the value is a credential; the host keeps it and the adapter never sees it.
	Secret      bool
	Environment []string
	// EnvironmentSetting is the setting, a JSON list of texts, that names variables in place of Environment; empty for none.
	EnvironmentSetting string
	// ProjectFirst: `settings` in config.yml is taken before the environment.
	ProjectFirst bool
	// CommandLine is the command-line option that sets it when config.yml does not (branch for --branch); empty for none.
	CommandLine string
	// Default is nil for none.
	Default *string
}

// Alias is another spelling of a setting, of the adapter or of the host: {Name: "verify", Setting: "verify_ssl"}.
type Alias struct {
	Name string
	// Setting is the setting that it stands for.
	Setting     string
	Environment []string
}

// Condition is a setting and the values under which something applies. A setting without a value has its default.
type Condition struct {
	Setting string
	Values  []string
}

// HeaderTemplate is a header with a place for a secret: {Name: "authorization", Template: "Token {token}"}.
type HeaderTemplate struct {
	Name, Template string
	// Prefix: used when the secret begins with this text; empty fits any.
	Prefix string
}

// Credential is a credential that the host adds to each request to the configured origin. One of its fields beside When is set.
type Credential struct {
	// When: only if this holds; nil is always.
	When *Condition
	// Header: the host takes the first template whose prefix fits.
	Header []HeaderTemplate
	// Basic: HTTP basic authentication from two settings.
	Basic *Basic
	// Query: a query parameter with the value of a setting.
	Query *QueryParameter
	// Login: a login, done by the host.
	Login *Login
}

// Login is done by the host before the first request that needs it. The adapter sees neither requests nor answers.
type Login struct {
	// Steps are the requests, in order; usually one.
	Steps []LoginStep
	// Headers are those that each request gets afterwards: {"authorization", "Bearer {token}"}.
	Headers []Template
	// RenewAfterS is the age in seconds at which the host renews it before the next request; 0: when the system rejects it.
	RenewAfterS uint32
	// Expired are the statuses which say that the login has expired and that the request was not executed; nil is 401.
	Expired []uint16
	// Refresh are the requests that renew it; nil: the steps.
	Refresh []LoginStep
}

// Template is a name, and a text with places for values.
type Template struct{ Name, Template string }

// LoginStep is a request of a login.
type LoginStep struct {
	Method string
	// Path is below the configured address, beginning with "/": a template of settings that are not secret.
	Path    string
	Headers []Template
	// JSON is a JSON body, a template: {password} stands for the setting of that name, within quotation marks. Empty for none.
	JSON string
	// Form is a form as the body.
	Form []Template
	// Values are the values to take from its answer.
	Values []LoginValue
}

// LoginValue is a value in the answer to a login: at a JSON pointer, in a header, or in a cookie that is set. One of the three is set.
type LoginValue struct{ Name, JSON, Header, Cookie string }

// Basic names the settings of HTTP basic authentication.
type Basic struct{ UserSetting, PasswordSetting string }

// QueryParameter is a query parameter with the value of a setting.
type QueryParameter struct{ Parameter, Setting string }

// Addressing names the words of the project that name a resource of this system.
type Addressing string

const (
	// ByMapping: the mapping's `mapping:` (dcim.devices); for a destination `destination_mapping:` first.
	ByMapping Addressing = "mapping"
	// ByKind: the mapping's `name:`, the kind itself.
	ByKind Addressing = "kind"
)

// ReadingPath is a path below the configured address at which a request with a body only reads.
type ReadingPath struct {
	// Path begins with `/`; `*` stands for one segment (`/graphql/*`).
	Path string
	// GraphQL: the path takes GraphQL, of which the host lets only queries through while it only reads. Else the system changes nothing there,
	// whatever the body.
	GraphQL bool
}

// ReferenceRule is a rule by which the value of a reference is matched with an object. The host tries the manifest's rules in their order, and
// the system's id and the natural key last.
type ReferenceRule string

const (
	// RuleFieldName: the record's own value at the field's name in the model comes before the mapping's path.
	RuleFieldName ReferenceRule = "field-name"
	// RulePeerColumns: the key is built from columns of this record, the paths from which the first mapping of the peer's kind takes its
	// identifiers.
	RulePeerColumns ReferenceRule = "peer-columns"
	// RuleUniqueID: the value is the peer's unique id text (identifiers joined by `__`).
	RuleUniqueID ReferenceRule = "unique-id"
)

// Table is a table that the host makes of a resource and lends to transforms as a filter: {{ x | name }} is the value for the key x.
type Table struct {
	Name, Resource string
	// Key and Value are the dotted paths of the keys and the values, in a record of the resource.
	Key, Value string
}

// Evidence is a set of statements about objects that a read does not return.
type Evidence uint8

const (
	// EvidenceTotal: pages carry the number of objects that the system reports (Page.Total).
	EvidenceTotal Evidence = 1 << iota
	// EvidenceChangeLog: deletions are in a change log (Adapter.Absent answers from it).
	EvidenceChangeLog
	// EvidencePermissions: Adapter.Absent notices objects that exist but that the credentials do not show.
	EvidencePermissions
)

// Manifest is the adapter's description of itself.
type Manifest struct {
	// Name is the name that a project uses.
	Name    string
	Version string
	// Description is one line: what system, which versions.
	Description string
	Settings    []Setting
	// AddressSetting is the setting that holds the base address; HTTP goes there and nowhere else. Empty: no network.
	AddressSetting string
	// FolderSetting is the setting that holds the folder to be granted. Empty: no files.
	FolderSetting string
	Credentials   []Credential
	// ReadingPaths are the paths at which a request with a body only reads. While the host only reads, it denies all other such requests.
	ReadingPaths []ReadingPath
	// Aliases are other spellings of settings.
	Aliases []Alias
	// Source says how it is addressed as a source; empty if it cannot be read.
	Source Addressing
	// Destination says how it is addressed as a destination; empty if it cannot be written.
	Destination Addressing
	References  []ReferenceRule
	Tables      []Table
	// Lookup is the name of the function lookup(resource, key, path, default) in transforms and in the `mapping:` of fields, if the adapter
	// lends one. The host evaluates it over the records of the resource.
	Lookup   string
	Evidence Evidence
	// Ownership: a read returns at the path @owner the name of the sync that made an object, if the system records it, and writes record it.
	Ownership bool
	// ReadsIDs: a read can be limited to ids (LoadRequest.IDs).
	ReadsIDs bool
	// Schema: it knows the kinds of its system. If not, the mapping alone gives the shapes.
	Schema bool
	// HasIDs: the system gives its objects ids, by which references can be written.
	HasIDs bool
	// PageSize is the number of records to ask for in one page; 0 is 1000.
	PageSize uint32
	// WriteBatchMax is the number of rows to hand over in one write, at most; 0 is 1000.
	WriteBatchMax uint32
	// WriteConcurrency is the number of writes in flight at a time, at most; 0 is 1.
	WriteConcurrency uint32
}

// FieldType is the type of a field's values.
type FieldType string

const (
	// FieldAny: unknown; values are taken as they are.
	FieldAny           FieldType = "any"
	FieldBoolean       FieldType = "boolean"
	FieldInteger       FieldType = "integer"
	FieldFloat         FieldType = "float"
	FieldText          FieldType = "text"
	FieldTimestamp     FieldType = "timestamp"
	FieldIPInterface   FieldType = "ip-interface"
	FieldIPNetwork     FieldType = "ip-network"
	FieldIPAddress     FieldType = "ip-address"
	FieldMAC           FieldType = "mac"
	FieldJSON          FieldType = "json"
	FieldList          FieldType = "list"
	FieldReference     FieldType = "reference"
	FieldReferenceList FieldType = "reference-list"
)

// Field is a field of a kind.
type Field struct {
	Name string
	// Type is FieldAny when it is empty.
	Type FieldType
	// Optional: may be null or absent.
	Optional bool
	// Unique: no two objects of the kind have the same value.
	Unique bool
	// ReadOnly: computed by the system; never written, never compared.
	ReadOnly bool
	// References are the kinds that a reference may point to; generic kinds count for the kinds that stand for them.
	References []string
	// Choices is the closed set of values; empty if any value is allowed.
	Choices []string
	// Default is the value that the system sets when none is given, as JSON text; empty for none.
	Default string
}

// Cascade names objects that the system deletes along with another one.
type Cascade struct {
	// Kind is the kind of the objects that are deleted, or their resource where the schema knows no kind.
	Kind string
	// Field is their field that refers to the deleted object. Empty: the system does not expose it.
	Field string
}

// Kind is a kind of objects as the system's schema describes it.
type Kind struct {
	Name string
	// Identifiers are the fields of the natural key, in order. Empty where the schema does not tell.
	Identifiers []string
	Fields      []Field
	// StandsFor are further kinds that a reference may name to accept an object of this kind.
	StandsFor []string
	// Cascades are objects that are deleted along with an object of this kind.
	Cascades []Cascade
	// UniqueTogether are sets of fields whose values together no two objects have, unless one of the values is null.
	UniqueTogether [][]string
	// CanCreate, CanUpdate and CanDelete are false also for generic kinds, which have no objects of their own.
	CanCreate, CanUpdate, CanDelete bool
}
