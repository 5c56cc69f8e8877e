package httpserver

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// errorWord is the word after "Error=" (DEV 3.4).
type errorWord string

// The words, with the reaction of a device.
const (
	wordInvalidSender     errorWord = "INVALID_SENDER"         // final
	wordInvalidParameters errorWord = "INVALID_PARAMETERS"     // final
	wordTooMany           errorWord = "TOO_MANY_REGISTRATIONS" // final
	// The credential is wrong. A device tries again, but not for a removal.
	wordBadDevice     errorWord = "PHONE_REGISTRATION_ERROR"
	wordInternal      errorWord = "InternalServerError"  // tried again
	wordTooManyTopics errorWord = "TOO_MANY_SUBSCRIBERS" // retried, because Chromium does not know it
)

// status returns the status for a word. Chromium looks for words first. microG shows a word to the
// app only if the status is not 200 (DEV 3.4).
func (w errorWord) status() int {
	switch w {
	case wordBadDevice:
		return http.StatusUnauthorized
	case wordInternal:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// Error implements error.
func (w errorWord) Error() string { return string(w) }

// register is POST /c2dm/register3 and its older name: registration and removal, classic and by
// Instance ID (DEV 3).
func (s *Server) register(r *http.Request) Answer {
	fields := make([]zap.Field, 0, 8)
	text, err := s.registration(r, &fields)
	var word errorWord
	switch {
	case err == nil:
		a := Text(http.StatusOK, text)
		a.Fields = fields
		return a
	case errors.As(err, &word):
		err = nil
	default:
		word = wordInternal
	}
	a := Text(word.status(), "Error="+string(word))
	a.Fields = append(fields, zap.String("code", string(word)))
	a.Err = err
	if word == wordInternal {
		a.RetryAfter = retryAfter
	}
	return a
}

// registration does the work and returns the text of success. Its error is an errorWord, or a
// failure of the server.
func (s *Server) registration(r *http.Request, fields *[]zap.Field) (string, error) {
	body, err := ReadBody(r, maxForm)
	if errors.Is(err, ErrNoRoom) {
		return "", wordInternal
	}
	if err != nil {
		return "", wordInvalidParameters
	}
	f, err := parseForm(string(body))
	if err != nil {
		return "", wordInvalidParameters
	}
	device, err := s.authenticate(r, f)
	if err != nil {
		return "", err
	}
	*fields = append(*fields, zap.Stringer("device", ccs.DeviceID(device)), zap.String("app", f.get("app")))
	if address := f.topic(); address != "" {
		return s.subscription(r.Context(), f, ccs.DeviceID(device), address)
	}
	reg, err := f.registration(device)
	if err != nil {
		return "", err
	}
	if f.deletion() {
		*fields = append(*fields, zap.Bool("delete", true))
		if err := s.devices.Unregister(r.Context(), reg); err != nil {
			return "", err
		}
		if reg.InstanceID == "" {
			return "deleted=" + reg.App, nil
		}
		return "token=" + f.mark() + reg.App, nil
	}
	got, err := s.devices.RegisterFrom(r.Context(), reg, s.calls.network(r.RemoteAddr))
	switch {
	case errors.Is(err, ccs.ErrInvalidSender):
		return "", wordInvalidSender
	case errors.Is(err, ccs.ErrTooManyRegistrations):
		return "", wordTooMany
	case errors.Is(err, ccs.ErrTooManyDevices):
		return "", wordInternal // the word that makes devices try again
	case err != nil:
		return "", err
	}
	return "token=" + f.mark() + got.Token, nil
}

// subscription subscribes an app to a topic, or ends that (TOPICS 2.2).
func (s *Server) subscription(ctx context.Context, f form, device ccs.DeviceID, address string) (string, error) {
	app, subscriber := f.get("app"), f.get("sender")
	name, ok := ccs.TopicOf(address)
	if !ok || app == "" || !proper(app, maxApp) || subscriber == "" || !proper(subscriber, maxSender) {
		return "", wordInvalidParameters
	}
	token, err := s.devices.SubscribeDevice(ctx, device, app, subscriber, name, f.deletion())
	switch {
	case errors.Is(err, ccs.ErrInvalidTopic), errors.Is(err, ccs.ErrNotMember):
		return "", wordInvalidParameters
	case errors.Is(err, ccs.ErrTooManyTopics):
		return "", wordTooManyTopics
	case err != nil:
		return "", err
	}
	return "token=" + f.mark() + token, nil
}

// authenticate checks the AidLogin header, which must be of the device that the form names
// (DEV 3.2).
func (s *Server) authenticate(r *http.Request, f form) (device uint64, err error) {
	id, token, ok := ParseAidLogin(r.Header.Get("Authorization"))
	if !ok || f.get("device") != strconv.FormatUint(id, 10) {
		return 0, wordBadDevice
	}
	err = s.devices.Authenticate(r.Context(), id, token)
	switch {
	case errors.Is(err, ccs.ErrUnknownDevice):
		return 0, wordBadDevice
	case err != nil:
		return 0, err
	}
	return id, nil
}

// ParseAidLogin reads an Authorization header with the credential of a device (DEV 3.1).
func ParseAidLogin(header string) (id, token uint64, ok bool) {
	scheme, pair, _ := strings.Cut(header, " ")
	idText, tokenText, _ := strings.Cut(strings.TrimSpace(pair), ":")
	id, err1 := strconv.ParseUint(idText, 10, 64)
	token, err2 := strconv.ParseUint(tokenText, 10, 64)
	return id, token, strings.EqualFold(scheme, "AidLogin") && err1 == nil && err2 == nil
}

// registration returns the registration that the form asks for. For a removal it is the
// registration to remove.
func (f form) registration(device uint64) (store.Registration, error) {
	reg := store.Registration{
		Device:     device,
		App:        f.get("app"),
		Subtype:    f.get("X-subtype"),
		InstanceID: f.first("appid", "X-appid"),
	}
	if reg.InstanceID != "" {
		reg.Scope = f.first("scope", "X-scope")
	}
	if reg.App == "" || !proper(reg.App, maxApp) || !proper(reg.Subtype, maxSubtype) ||
		!proper(reg.InstanceID, maxInstanceID) || !proper(reg.Scope, maxScope) {
		return store.Registration{}, wordInvalidParameters
	}
	if f.deletion() && reg.InstanceID == "" {
		return reg, nil // for any senders
	}
	var err error
	reg.Senders, err = parseSenders(f.get("sender"), reg.InstanceID != "")
	return reg, err
}
