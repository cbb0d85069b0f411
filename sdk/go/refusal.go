package adapter

import "fmt"

// System has the names that messages about a system's refusals need: its own, and those of its settings.
//
//	adapter.System{Name: "Acme", Credential: "token", Variable: "ACME_TOKEN"}
type System struct {
	// Name is the system's name.
	Name string
	// Address is the setting of the address; empty is `url`.
	Address string
	// Credential is the setting of the credential, and Variable its environment variable; empty for none.
	Credential, Variable string
}

// Success sends the request and returns its response if it is a success. what names the requested resource (dcim.devices). For errors see
// Refuse.
func (s System) Success(what string, request *Request) (*Response, error) {
	response, err := request.Send()
	if err != nil {
		return nil, err
	}
	if !response.IsSuccess() {
		return nil, s.Refuse(what, response, "")
	}
	return response, nil
}

// Refuse returns the failure that a response without success stands for, and releases the response.
//
// 401 and 403 are Auth and name the credential, 3xx are Config and name the address, 429 is RateLimited and names max_concurrency; for others
// see ErrorFromResponse. Each message quotes the system's own words, if they are short and not HTML, or said, which the adapter took from the
// response; empty for none.
func (s System) Refuse(what string, response *Response, said string) *Error {
	if said == "" {
		said = response.Detail()
	}
	if said != "" {
		said = " (" + said + ")"
	}
	status := response.Status()
	location, _ := response.Header("location")
	failure := ErrorFromResponse(what, response)
	switch {
	case status >= 300 && status < 400:
		if location != "" {
			location = " to " + location
		}
		failure.Kind = Config
		failure.Message = fmt.Sprintf("`%s` is not the address of %s: it redirects%s", s.address(), s.Name, location)
	case failure.Kind == Auth:
		failure.Message = fmt.Sprintf("%s denies access to `%s`%s: %s is missing, wrong or expired, or lacks the permission", s.Name, what, said,
			s.credential())
	case failure.Kind == NotFound:
		failure.Message = fmt.Sprintf("%s has no `%s`%s", s.Name, what, said)
	case failure.Kind == RateLimited:
		failure.Message = fmt.Sprintf("%s asks for fewer requests%s: set a lower `max_concurrency`", s.Name, said)
	case failure.Kind == Remote:
		failure.Message = fmt.Sprintf("%s failed on `%s` with HTTP status %d%s", s.Name, what, status, said)
	default:
		failure.Message = fmt.Sprintf("%s rejects `%s` with HTTP status %d%s", s.Name, what, status, said)
	}
	return failure
}

// Unexpected returns the failure for a success whose body is not the system's: HTML of a login page, or the answer of another product.
func (s System) Unexpected(what string, response *Response) *Error {
	content, _ := response.Header("content-type")
	if content != "" {
		content = " (" + content + ")"
	}
	failure := Errorf(Remote, "the answer for `%s` is not from %s%s: check that `%s` is the address of %s", what, s.Name, content, s.address(),
		s.Name)
	failure.HTTPStatus = response.Status()
	return failure
}

func (s System) address() string {
	if s.Address == "" {
		return "url"
	}
	return s.Address
}

func (s System) credential() string {
	if s.Credential == "" {
		return "the credential"
	}
	return fmt.Sprintf("`%s` (%s)", s.Credential, s.Variable)
}
