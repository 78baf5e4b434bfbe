package azure

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"carillon/shared/store"
)

// Store returns a table's rows as a Driver: a partition is a partition, the sort key the row key, the value one
// binary property, the version the row's ETag. The table is created when it is first written to. Every Get and Apply,
// and every page of a Scan (up to 1,000 rows or 4 MiB), is one request.
//
// Reads are repeated after faults that pass. An Apply is repeated only when it is certain that nothing was done: no
// connection, or throttling. It conflicts only where the service said so about that very transaction; after anything
// else, time-outs and resets among it, it is open whether it was done.
//
// That no version comes twice is the service's promise: an ETag is the time of the write, to 100 ns, which the service
// keeps for the purpose of telling writes apart. (Azurite's is to 100 µs; it does one request after another, and each
// takes longer.)
func (a *Account) Store(table string) store.Driver {
	return rows{table: table, client: a.tables.NewClient(table)}
}

type rows struct {
	table  string
	client *aztables.Client
}

// entity is a row on the wire.
type entity struct {
	PartitionKey string `json:"PartitionKey,omitempty"`
	RowKey       string `json:"RowKey"`
	Value        []byte `json:"Value"`
	Type         string `json:"Value@odata.type,omitempty"`
	ETag         string `json:"odata.etag,omitempty"`
}

// Get implements store.Driver. It is a query, not a look-up by address: Azure's web servers refuse addresses whose
// segments have more than 260 characters, which keys may have.
func (r rows) Get(ctx context.Context, part, sort string) (row store.Row, err error) {
	if err := cmp.Or(ctx.Err(), store.CheckGet(part, sort)); err != nil {
		return row, err
	}
	all, err := r.query(ctx, fmt.Sprintf("PartitionKey eq '%s' and RowKey eq '%s'", part, sort), 1)
	switch {
	case err != nil:
		return row, fmt.Errorf("read row %s in partition %s of table %s: %w", sort, part, r.table, err)
	case len(all) == 0:
		return row, fmt.Errorf("row %s in partition %s: %w", sort, part, store.ErrNotFound)
	}
	return all[0], nil
}

// Scan implements store.Driver.
func (r rows) Scan(ctx context.Context, part, from, to string, max int) ([]store.Row, error) {
	if err := cmp.Or(ctx.Err(), store.CheckScan(part, from, to, max)); err != nil {
		return nil, err
	}
	if from >= to {
		return nil, nil
	}
	from, to = from[:min(len(from), store.MaxKey+1)], to[:min(len(to), store.MaxKey+1)]
	all, err := r.query(ctx, fmt.Sprintf("PartitionKey eq '%s' and RowKey ge '%s' and RowKey lt '%s'", part, from, to), max)
	if err != nil {
		return nil, fmt.Errorf("read from %.100q to %.100q in partition %s of table %s: %w", from, to, part, r.table, err)
	}
	return all, nil
}

// query reads the first max rows that match the filter. A page may end early, even empty, and name where the next one
// begins; only when it names none there are no more. A table that is not there has no rows.
func (r rows) query(ctx context.Context, filter string, max int) (all []store.Row, err error) {
	options := aztables.ListEntitiesOptions{
		Filter: &filter,
		Select: to.Ptr("RowKey,Value"),
		Format: to.Ptr(aztables.MetadataFormatMinimal), // has the ETags
	}
	for {
		options.Top = to.Ptr(int32(max - len(all)))
		page, err := r.client.NewListEntitiesPager(&options).NextPage(ctx)
		if answerOf(err).code == string(aztables.TableNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, plain(err)
		}
		for _, text := range page.Entities {
			row, err := decode(text)
			if err != nil {
				return nil, err
			}
			all = append(all, row)
		}
		if len(all) >= max {
			return all[:max], nil
		}
		if empty(page.NextPartitionKey) && empty(page.NextRowKey) {
			return all, nil
		}
		options.NextPartitionKey, options.NextRowKey = page.NextPartitionKey, page.NextRowKey
	}
}

func empty(s *string) bool { return s == nil || *s == "" }

func decode(text []byte) (store.Row, error) {
	var e entity
	if err := json.Unmarshal(text, &e); err != nil {
		return store.Row{}, fmt.Errorf("a row that Carillon did not write: %w", err)
	}
	if e.RowKey == "" || e.ETag == "" {
		return store.Row{}, fmt.Errorf("a row came without its key or its ETag (row %q)", e.RowKey)
	}
	return store.Row{Sort: e.RowKey, Value: e.Value, Version: store.Version(e.ETag)}, nil
}

// Apply implements store.Driver. It is one entity group transaction, also for a single operation: there is one kind
// of answer, and keys stand in no address.
func (r rows) Apply(ctx context.Context, part string, ops ...store.Op) error {
	if err := cmp.Or(ctx.Err(), store.Check(part, ops)); err != nil || len(ops) == 0 {
		return err
	}
	actions := make([]aztables.TransactionAction, len(ops))
	for i, op := range ops {
		if op.Version != "" && !etag.MatchString(string(op.Version)) {
			return &store.OpError{Index: i, Op: op, Err: store.ErrConflict} // no row ever had it
		}
		actions[i] = action(part, op)
	}
	ctx = context.WithValue(ctx, operations{}, len(ops))
	err := r.submit(ctx, actions)
	if answerOf(err).code == string(aztables.TableNotFound) {
		if err := r.create(ctx); err != nil {
			return err
		}
		err = r.submit(ctx, actions)
	}
	if err == nil {
		return nil
	}
	if op, ok := conflict(answerOf(err), ops); ok {
		return op
	}
	return fmt.Errorf("write %d rows from %s on in partition %s of table %s: %w", len(ops), ops[0].Sort, part, r.table, plain(err))
}

// etag is what a version has to look like before it is written into a request.
var etag = regexp.MustCompile(`^W/"[!#-~]+"$`)

// action makes an operation's part of the transaction. Both keys of each come from the one partition that Apply was
// given: the service refuses a transaction over two, Azurite would take it.
func action(part string, op store.Op) aztables.TransactionAction {
	e := entity{PartitionKey: part, RowKey: op.Sort}
	a := aztables.TransactionAction{ActionType: aztables.TransactionTypeDelete}
	if op.Kind != store.Delete {
		e.Type = "Edm.Binary"
		e.Value = append([]byte{}, op.Value...) // not null
	}
	switch op.Kind {
	case store.Create:
		a.ActionType = aztables.TransactionTypeAdd
	case store.Put:
		a.ActionType = aztables.TransactionTypeInsertReplace
	case store.Replace:
		a.ActionType = aztables.TransactionTypeUpdateReplace
	}
	if op.Version != "" {
		a.IfMatch = to.Ptr(azcore.ETag(op.Version))
	}
	a.Entity, _ = json.Marshal(e) // strings and bytes
	return a
}

func (r rows) submit(ctx context.Context, actions []aztables.TransactionAction) error {
	_, err := r.client.SubmitTransaction(onlyIfNotDone(ctx), actions, nil)
	return err
}

// create creates the table. Many may do so at once.
func (r rows) create(ctx context.Context) error {
	_, err := r.client.CreateTable(ctx, nil)
	if err == nil || answerOf(err).code == string(aztables.TableAlreadyExists) {
		return nil
	}
	return fmt.Errorf("create table %s: %w", r.table, plain(err))
}

// expectations are the codes by which the service says that an operation's expectation is not met.
var expectations = map[int][]aztables.TableErrorCode{
	http.StatusConflict:           {aztables.EntityAlreadyExists},
	http.StatusNotFound:           {aztables.ResourceNotFound, aztables.EntityNotFound},
	http.StatusPreconditionFailed: {aztables.UpdateConditionNotSatisfied, "ConditionNotMet"},
}

// conflict reports whether an answer says for certain that an operation's expectation was not met, and of which one.
func conflict(a *answer, ops []store.Op) (*store.OpError, bool) {
	index := a.index
	if index >= len(ops) || index < 0 || !slices.Contains(expectations[a.status], aztables.TableErrorCode(a.code)) {
		return nil, false
	}
	return &store.OpError{Index: index, Op: ops[index], Err: store.ErrConflict}, true
}
