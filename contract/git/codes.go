package git

import (
	"github.com/slipway-ml/slipway/deployment"
)

// The codes of what is wrong with a repository (deeploy.md section 10).
const (
	CodeRepositoryNotFound  deployment.Code = "repository_not_found"
	CodeRepositoryForbidden deployment.Code = "repository_forbidden" // the credentials may not read
	CodeRepositoryTooLarge  deployment.Code = "repository_too_large"
	CodeInvalidRepository   deployment.Code = "invalid_repository" // what answers is no git repository, or a damaged one
	CodeRevisionNotFound    deployment.Code = "revision_not_found" // no such branch, tag or commit
	CodeHistoryRewritten    deployment.Code = "history_rewritten"  // a commit that was seen is gone
	CodeHostKeyRefused      deployment.Code = "host_key_refused"   // the ssh server is not the known one
	CodePushRefused         deployment.Code = "push_refused"
)

// The members of a command's data that findings point to.
const (
	atURL    = "source.url"
	atBranch = "source.branch"
	atTag    = "source.tag"
	atCommit = "source.commit"
)
