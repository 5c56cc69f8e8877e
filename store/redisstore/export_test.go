package redisstore

// What tests hold against the outside.
var (
	DecodeRegistration = decodeRegistration
	EncodeRegistration = encodeRegistration
)

// ForgetProject is what another node's change does.
func (s *Store) ForgetProject(sender string) { s.forgetProject(sender) }
