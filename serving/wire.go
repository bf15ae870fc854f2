package serving

import (
	"time"

	"github.com/slipway-ml/slipway/deployment"
)

// Desired is what every prediction server should serve for one deployment. It
// stands in the serving bucket under DesiredKey. Only workers write it, by
// compare-and-set and never with a lower Token than it has.
type Desired struct {
	Deployment deployment.Name      `json:"deployment"`
	Token      uint64               `json:"token"`              // fencing token: ledger sequence of the claim
	Round      uint64               `json:"round"`              // counts the writes of this entry
	Active     *deployment.ModelRef `json:"active,omitempty"`   // serve this; nil: serve nothing
	Target     *deployment.ModelRef `json:"target,omitempty"`   // load and warm this beside Active; nil: nothing to prepare
	Golden     *deployment.Golden   `json:"golden,omitempty"`   // what Target has to answer to be prepared
	Inactive   bool                 `json:"inactive,omitempty"` // Active is nil because the deployment is inactive: say so to who asks
}

// Observed is what one prediction server does about the Desired entry of one
// deployment. It stands in the serving bucket under ObservedKey.
type Observed struct {
	Deployment deployment.Name `json:"deployment"`
	Server     string          `json:"server"`
	Instance   string          `json:"instance"`           // of Server: an entry of an earlier process does not count
	Token      uint64          `json:"token"`              // of the Desired entry this answers
	Round      uint64          `json:"round"`              // of the Desired entry this answers
	Serving    deployment.Name `json:"serving,omitempty"`  // id of the model that answers predictions now
	Prepared   deployment.Name `json:"prepared,omitempty"` // id of the target, once it is loaded and warm
	Drained    uint64          `json:"drained"`            // requests that were running on the old model at the last switch and have ended
	Error      *Failure        `json:"error,omitempty"`    // why Active or Target cannot be served
	At         time.Time       `json:"at"`
}

// Failure is why a prediction server cannot do as desired.
type Failure struct {
	Model     deployment.Name `json:"model"` // id of the model that cannot be served
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	Retryable bool            `json:"retryable"` // the same attempt may succeed later
}

// Server is one live prediction server. It stands in the servers bucket under
// its ID for as long as the server renews it.
type Server struct {
	ID        string              `json:"id"`
	Instance  string              `json:"instance"` // new for every process start
	URL       string              `json:"url"`      // where predictions are answered
	Formats   []deployment.Format `json:"formats"`
	StartedAt time.Time           `json:"startedAt"`
}

// DesiredKey is the key of the Desired entry of a deployment.
func DesiredKey(name deployment.Name) string { return "desired." + string(name) }

// ObservedKey is the key of what one server observes of a deployment.
func ObservedKey(name deployment.Name, server string) string {
	return ObservedPrefix(name) + server
}

// ObservedPrefix is what the ObservedKeys of a deployment start with.
func ObservedPrefix(name deployment.Name) string { return "observed." + string(name) + "." }

// DesiredPrefix is what every DesiredKey starts with.
const DesiredPrefix = "desired."
