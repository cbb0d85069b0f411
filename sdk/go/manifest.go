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
	// Default is nil for none.
	Default *string
}

// HeaderTemplate is a header with a place for a secret: {Name: "authorization", Template: "Token {token}"}.
type HeaderTemplate struct {
	Name, Template string
	// Prefix: used when the secret begins with this text; empty fits all.
	Prefix string
}

// Credential is what the host adds to each request to the configured origin. One of its fields is set.
type Credential struct {
	// Header: the first template whose prefix fits is taken.
	Header []HeaderTemplate
	// Basic: HTTP basic authentication from two settings.
	Basic *Basic
	// Query: a query parameter with the value of a setting.
	Query *QueryParameter
	// Login: a login, done by the host.
	Login *Login
}

// Login is done by the host before the first request that needs it: the adapter sees neither what is sent nor what is answered.
type Login struct {
	// Steps are the requests, in their order; mostly one.
	Steps []LoginStep
	// Headers are what each request gets afterwards: {"authorization", "Bearer {token}"}.
	Headers []Template
	// RenewAfterS: after so many seconds the host renews it before the next request; 0: when it is refused.
	RenewAfterS uint32
	// Expired are the statuses which say that it has expired, and that nothing was done with the request; nil is 401.
	Expired []uint16
	// Refresh is how it is renewed when the time is up; nil: by the steps.
	Refresh []LoginStep
}

// Template is a name, and a text with places for values.
type Template struct{ Name, Template string }

// LoginStep is a request of a login.
type LoginStep struct {
	Method string
	// Path is below the configured address, beginning with "/". No template.
	Path    string
	Headers []Template
	// JSON is a JSON body, a template: {password} stands for the setting of that name, within quotation marks. Empty for none.
	JSON string
	// Form is a form as the body.
	Form []Template
	// Values are what its answer gives.
	Values []LoginValue
}

// LoginValue is a value in the answer to a login: at a JSON pointer, in a header, or in a cookie that is set. One of the three is set.
type LoginValue struct{ Name, JSON, Header, Cookie string }

// Basic names the settings of HTTP basic authentication.
type Basic struct{ UserSetting, PasswordSetting string }

// QueryParameter is a query parameter with the value of a setting.
type QueryParameter struct{ Parameter, Setting string }

// Addressing is what a resource of this system is named after in the project.
type Addressing string

const (
	// NoSource: it cannot be read as a source.
	NoSource Addressing = ""
	// ByMapping: the mapping's `mapping:` (dcim.devices).
	ByMapping Addressing = "mapping"
	// ByKind: the mapping's `name:`, the kind itself.
	ByKind Addressing = "kind"
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
	// Source says how it is read.
	Source Addressing
	// Destination: it can be a destination.
	Destination bool
	// Schema: it knows the kinds of its system.
	Schema bool
	// HasIDs: objects have ids of the system's own, by which references can be written.
	HasIDs bool
	// PageSize is how many records to ask for in one page; 0 is 1000.
	PageSize uint32
	// WriteBatchMax is how many rows to hand over in one write, at most; 0 is 1000.
	WriteBatchMax uint32
	// WriteConcurrency is how many writes may be under way at a time; 0 is 1.
	WriteConcurrency uint32
}

// FieldType is the type of a field's values.
type FieldType string

const (
	// FieldAny: not known; values are taken as they come.
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
	// Reference is the kind that a reference points to; empty for none.
	Reference string
	// Choices is the closed set of values, empty where any value is good.
	Choices []string
	// Default is what the system puts there when nothing is given, as JSON text; empty for none.
	Default string
}

// Kind is a kind of objects as the system's schema describes it.
type Kind struct {
	Name string
	// Identifiers are the fields of the natural key, in order. Empty where the schema does not tell.
	Identifiers []string
	Fields      []Field
	// StandsFor are further kinds that a reference may name and be given an object of this kind.
	StandsFor []string
	// CanCreate, CanUpdate and CanDelete say what is permitted; false also for generic kinds, of which there are no objects.
	CanCreate, CanUpdate, CanDelete bool
}
