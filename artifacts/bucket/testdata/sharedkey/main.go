// Command sharedkey writes requests that Azure's own library has signed, one JSON
// value per line. Run it in this folder: go run . > ../sharedkey.jsonl.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

const key = "slipway slipway slipway slipway!" // of nobody

type recorder struct{}

// Do prints the request and answers nothing.
func (recorder) Do(request *http.Request) (*http.Response, error) {
	err := json.NewEncoder(os.Stdout).Encode(map[string]any{"url": request.URL.String(), "header": request.Header})
	return nil, errors.Join(err, errors.New("recorded"))
}

func main() {
	credential, err := azblob.NewSharedKeyCredential("models", base64.StdEncoding.EncodeToString([]byte(key)))
	if err != nil {
		panic(err)
	}
	options := &azblob.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: recorder{}}}
	options.Retry.MaxRetries = -1
	for _, endpoint := range []string{"https://models.blob.core.windows.net", "http://127.0.0.1:10000/models"} {
		client, err := azblob.NewClientWithSharedKeyCredential(endpoint, credential, options)
		if err != nil {
			panic(err)
		}
		ctx, etag := context.Background(), azcore.ETag(`"0x8DB"`)
		for _, name := range []string{"churn/model.ubj", "ä b/100%+1?.ubj"} {
			_, _ = client.DownloadStream(ctx, "team-a", name, nil)
		}
		conditions := &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &etag}}
		_, _ = client.DownloadStream(ctx, "team-a", "churn/model.ubj", &azblob.DownloadStreamOptions{AccessConditions: conditions})
		prefix, marker, most := "churn/ä b+", "2!92!x", int32(7)
		pager := client.ServiceClient().NewContainerClient("team-a").NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix, Marker: &marker, MaxResults: &most})
		_, _ = pager.NextPage(ctx)
	}
}
