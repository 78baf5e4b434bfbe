package azure

import (
	"strings"
	"testing"
)

func TestBlobsOf(t *testing.T) {
	identityEndpoint(t, "token")
	for _, c := range []struct {
		name     string
		settings map[string]string
		want     Blobs // but for Identity
		identity bool
	}{
		{"emulator", map[string]string{"": "UseDevelopmentStorage=true"},
			Blobs{URL: "http://127.0.0.1:10000/devstoreaccount1", Account: "devstoreaccount1", Key: emulatorKey}, false},
		{"key", map[string]string{"": "AccountName=inbox;AccountKey=QUJD;EndpointSuffix=core.usgovcloudapi.net"},
			Blobs{URL: "https://inbox.blob.core.usgovcloudapi.net", Account: "inbox", Key: "QUJD"}, false},
		{"signature", map[string]string{"": "BlobEndpoint=https://inbox.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=QUJD"},
			Blobs{URL: "https://inbox.blob.core.windows.net", Account: "inbox", Signature: "sv=1&sig=QUJD"}, false},
		{"identity", map[string]string{"__accountName": "inbox", "__credential": "managedidentity", "__clientId": "x"},
			Blobs{URL: "https://inbox.blob.core.windows.net", Account: "inbox"}, true},
		{"identity, address", map[string]string{"__blobServiceUri": "https://inbox.blob.core.chinacloudapi.cn/", "__credential": "managedidentity"},
			Blobs{URL: "https://inbox.blob.core.chinacloudapi.cn", Account: "inbox"}, true},
		{"a zone of DNS", map[string]string{"__blobServiceUri": "https://inbox.z12.blob.storage.azure.net", "__credential": "managedidentity"},
			Blobs{URL: "https://inbox.z12.blob.storage.azure.net", Account: "inbox"}, true},
		{"an address of one's own", map[string]string{"__blobServiceUri": "https://files.example.com", "__credential": "managedidentity"},
			Blobs{URL: "https://files.example.com"}, true},
		{"an address of one's own, name", map[string]string{"__blobServiceUri": "https://files.example.com", "__accountName": "inbox", "__credential": "managedidentity"},
			Blobs{URL: "https://files.example.com", Account: "inbox"}, true},
		{"an emulator elsewhere", map[string]string{"": "BlobEndpoint=http://azurite:10000/inbox;SharedAccessSignature=sig=QUJD"},
			Blobs{URL: "http://azurite:10000/inbox", Account: "inbox", Signature: "sig=QUJD"}, false},
	} {
		values := map[string]string{}
		for name, value := range c.settings {
			values["LAKE"+name] = value
		}
		got, err := BlobsOf(settings(values), "LAKE")
		if identity := got.Identity != nil; err != nil || identity != c.identity {
			t.Errorf("%s: %v, identity %t", c.name, err, identity)
		}
		if got.Identity = nil; got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// What is wrong is said under the connection's name, and of the blobs alone.
func TestBlobsOfWrongSettings(t *testing.T) {
	const secret = "SECRETsecret+/="
	for _, c := range []struct {
		settings map[string]string
		want     string
	}{
		{nil, "no storage account is set: give LAKE a connection string, or LAKE__accountName"},
		{map[string]string{"LAKE": "AccountKey=" + secret + "x"}, "LAKE: AccountKey is not base64"},
		{map[string]string{"LAKE": "AccountName=lake;AccountKey=QUJD;BlobEndpoint=" + secret}, "LAKE: BlobEndpoint is not an address"},
		{map[string]string{"LAKE": "SharedAccessSignature=" + secret}, "LAKE: the connection string has neither AccountName nor BlobEndpoint"},
		{map[string]string{"LAKE__blobServiceUri": "http://a"}, "LAKE__blobServiceUri: has to begin with https://"},
		{map[string]string{"LAKE__queueServiceUri": "https://a"}, "LAKE__blobServiceUri: is not set"},
		{map[string]string{"LAKE__accountName": "lake", "LAKE__credential": "x"}, `LAKE__credential: "x"`},
		{map[string]string{"lake": "UseDevelopmentStorage=true"}, "no storage account is set"},
	} {
		_, err := BlobsOf(settings(c.settings), "LAKE")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.settings, err, c.want)
			continue
		}
		for _, not := range []string{secret, "table", "queueService", "AzureWebJobsStorage"} {
			if strings.Contains(err.Error(), not) {
				t.Errorf("%v: %s is in %v", c.settings, not, err)
			}
		}
	}
}
