package httpserver_test

import (
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/openccs/openccs/ccs/httpserver"
)

// Chromium posts this form for chrome.gcm.register.
func ExampleServer_Handler() {
	h := httpserver.New(&devices{}, httpserver.Options{}).Handler()
	r := httptest.NewRequest("POST", "/c2dm/register3",
		strings.NewReader("app="+extension+"&device=4611686018427387905&sender=123456789012"))
	r.Header.Set("Authorization", "AidLogin 4611686018427387905:1234567890123456789")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 token=APA91bToken
}
