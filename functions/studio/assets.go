package studio

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"time"
)

//go:embed assets pages
var files embed.FS

// version names the assets by their content, so that a browser may keep them for ever.
var version = func() string {
	sum := sha256.New()
	for _, name := range []string{"bell.svg", "studio.css"} {
		data, err := files.ReadFile("assets/" + name)
		if err != nil {
			panic(err)
		}
		sum.Write(data)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}()

var pages = func() map[string]*template.Template {
	funcs := template.FuncMap{"asset": func(name string) string { return root + "/assets/" + version + "/" + name }}
	layout := template.Must(template.New("").Funcs(funcs).ParseFS(files, "pages/layout.html"))
	out := map[string]*template.Template{}
	for _, name := range []string{"overview", "schedule", "run", "message"} {
		out[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "pages/"+name+".html"))
	}
	return out
}()

// serveAsset gives one file. During a deployment an old instance may be asked for new assets: it gives its own, not
// to be kept.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	data, err := fs.ReadFile(files, "assets/"+name)
	if err != nil {
		http.Error(w, "there is no such asset", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	if r.PathValue("version") == version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("ETag", `"`+version+`"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}
