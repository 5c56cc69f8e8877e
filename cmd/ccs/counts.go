package main

import (
	"fmt"

	"github.com/openccs/openccs/store"
)

// counts are numbers of records in a store or in a copy. It is part of the contract with scripts.
type counts struct {
	Projects      int `json:"projects"`
	Clients       int `json:"oauth_clients"`
	RefreshTokens int `json:"refresh_tokens"`
	Apps          int `json:"apps"`
	Users         int `json:"users"`
	Channels      int `json:"channels"`
	DailyCounts   int `json:"daily_counts"`
	Secrets       int `json:"secrets"`
	Registrations int `json:"registrations"`
	Subscriptions int `json:"subscriptions"`
	Groups        int `json:"groups"`
	Fanouts       int `json:"fan_outs"`
	Queues        int `json:"queues"`
	Messages      int `json:"messages"`
	Remembered    int `json:"remembered"`
}

// add counts a page. queue is the queue that was counted last; add returns the new one.
func (c *counts) add(p *store.Page, queue string) string {
	c.Projects += len(p.Projects)
	c.Clients += len(p.Clients)
	c.RefreshTokens += len(p.RefreshTokens)
	c.Apps += len(p.Apps)
	c.Users += len(p.Users)
	c.Channels += len(p.Channels)
	c.DailyCounts += len(p.DailyCounts)
	c.Secrets += len(p.Secrets)
	c.Registrations += len(p.Registrations)
	c.Subscriptions += len(p.Subscriptions)
	c.Groups += len(p.Groups)
	c.Fanouts += len(p.Fanouts)
	c.Messages += len(p.Entries)
	c.Remembered += len(p.Remembered)
	var last store.Key
	for i := range p.Entries {
		if k := p.Entries[i].Key; k != last {
			last = k
			if k.String() != queue {
				queue = k.String()
				c.Queues++
			}
		}
	}
	return queue
}

// String returns the counts for a person.
func (c counts) String() string {
	return fmt.Sprintf("projects %d, OAuth clients %d, refresh tokens %d, apps %d, users %d, channels %d, daily counts %d, secrets %d, registrations %d, subscriptions %d, groups %d, fan-outs %d, queues %d, messages %d, remembered %d",
		c.Projects, c.Clients, c.RefreshTokens, c.Apps, c.Users, c.Channels, c.DailyCounts, c.Secrets, c.Registrations, c.Subscriptions, c.Groups, c.Fanouts, c.Queues, c.Messages, c.Remembered)
}
