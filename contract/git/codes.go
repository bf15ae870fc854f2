package git

import (
	"github.com/slipway-ml/slipway/deployment"
)

// The codes of what is wrong with a repository (deeploy.md section 10).
const (
	CodeRepositoryNotFound  = deployment.CodeRepositoryNotFound
	CodeRepositoryForbidden = deployment.CodeRepositoryForbidden // the credentials may not read
	CodeRepositoryTooLarge  = deployment.CodeRepositoryTooLarge
	CodeInvalidRepository   = deployment.CodeInvalidRepository // what answers is no git repository, or a damaged one
	CodeRevisionNotFound    = deployment.CodeRevisionNotFound  // no such branch, tag or commit
	CodeHistoryRewritten    = deployment.CodeHistoryRewritten  // a commit that was seen is gone
	CodeHostKeyRefused      = deployment.CodeHostKeyRefused    // the ssh server is not the known one
	CodePushRefused         = deployment.CodePushRefused
)

// The members of a command's data that findings point to.
const (
	atURL    = "source.url"
	atBranch = "source.branch"
	atTag    = "source.tag"
	atCommit = "source.commit"
)
