package adapter

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Target is a kind of the project and its place in this system. The same record serves reading and writing, source and destination.
type Target struct {
	// Kind is the mapping's `name:`.
	Kind string
	// Resource is the list or resource that holds its objects (dcim.devices). Empty: the system is addressed by kind.
	Resource string
	Fields   []TargetField
}

// TargetField is a field of a kind, as the project uses it.
type TargetField struct {
	// Name is the field's name in the model.
	Name string
	// Path is the dotted path of the field in this system (status.value). It is the path that is read; the adapter knows how the field is
	// written. Empty: the system is addressed by kind, or the mapping names no path.
	Path string
	// Peers are the kinds that the field may refer to; empty if it is not a reference.
	Peers []string
	// Many: the field holds a set of references.
	Many bool
	// Identifier: the field is part of the natural key. Identifiers come first, in the order of the key.
	Identifier bool
}

// ResourceOrKind returns the resource; the kind, where the system is addressed by kind.
func (t Target) ResourceOrKind() string {
	if t.Resource == "" {
		return t.Kind
	}
	return t.Resource
}

// Field returns the field with that name in the model, and whether the project has such a field.
func (t Target) Field(name string) (TargetField, bool) {
	for _, field := range t.Fields {
		if field.Name == name {
			return field, true
		}
	}
	return TargetField{}, false
}

// KnownField returns the field, which the rows of a write always have in their target. The error is Internal: the host sent a row that does
// not fit its target.
func (t Target) KnownField(name string) (TargetField, error) {
	field, there := t.Field(name)
	if !there {
		return field, Errorf(Internal, "the target `%s` has no field `%s`", t.Kind, name)
	}
	return field, nil
}

// FieldsAt returns the fields that are read at that path. A path may feed several fields.
func (t Target) FieldsAt(path string) []TargetField {
	return t.fields(func(field TargetField) bool { return field.ReadPath() == path })
}

// Identifiers returns the fields of the natural key, in the order of the key.
func (t Target) Identifiers() []TargetField {
	return t.fields(func(field TargetField) bool { return field.Identifier })
}

func (t Target) fields(wanted func(TargetField) bool) []TargetField {
	var found []TargetField
	for _, field := range t.Fields {
		if wanted(field) {
			found = append(found, field)
		}
	}
	return found
}

// ReadPath returns the dotted path at which the field is read: the mapping's, or its name.
func (f TargetField) ReadPath() string {
	if f.Path == "" {
		return f.Name
	}
	return f.Path
}

// IsReference says whether it is a reference, or a set of references.
func (f TargetField) IsReference() bool { return len(f.Peers) > 0 }

// SplitPath returns the first segment of the path (status of status.value) and the rest, if any: many systems take the value at the first one.
func (f TargetField) SplitPath() (first, rest string) {
	first, rest, _ = strings.Cut(f.ReadPath(), ".")
	return first, rest
}

// WithPeers returns a value of the field with its references replaced: by nil, by one value of peer, or by a list of them. A value of a field
// without references stays as it is. PeerID makes ids of references.
func (f TargetField) WithPeers(value any, peer func(Reference) (any, error)) (any, error) {
	if !f.IsReference() || value == nil {
		return value, nil
	}
	references, several := value.([]any)
	if !several {
		return peerOf(value, peer)
	}
	peers := make([]any, 0, len(references))
	for _, each := range references {
		made, err := peerOf(each, peer)
		if err != nil {
			return nil, err
		}
		peers = append(peers, made)
	}
	return peers, nil
}

func peerOf(value any, peer func(Reference) (any, error)) (any, error) {
	fields, is := value.(map[string]any)
	if !is {
		return nil, Errorf(Internal, "%v is not a reference", value)
	}
	text := func(name string) string {
		text, _ := fields[name].(string)
		return text
	}
	reference := Reference{Kind: text("kind"), ID: text("id"), Resource: text("resource")}
	reference.Key, _ = fields["key"].(map[string]any)
	if kinds, several := fields["of"].([]any); several {
		for _, kind := range kinds {
			reference.Of = append(reference.Of, fmt.Sprint(kind))
		}
	}
	return peer(reference)
}

// Reference is a reference of a row: another object.
type Reference struct {
	// Kind is the kind of the object itself, also where the field refers to a generic kind.
	Kind string
	// Key is its natural key.
	Key map[string]any
	// ID is its id in this system; empty when the host does not know it.
	ID string
	// Resource is its list, where the system is addressed by mapping.
	Resource string
	// Of are the kinds that the field may refer to, where there are several.
	Of []string
}

// PeerID returns the id of the object that a reference points to. The error is NotFound: the host does not know the id.
func PeerID(reference Reference) (any, error) {
	if reference.ID != "" {
		return reference.ID, nil
	}
	key := reference.Key
	if key == nil {
		key = map[string]any{}
	}
	text, err := json.Marshal(key)
	if err != nil {
		return nil, Errorf(Internal, "the key of a reference cannot be written as JSON: %v", err)
	}
	return nil, Errorf(NotFound, "the object %s of `%s`, to which it refers, is not in the system", text, reference.Kind)
}
