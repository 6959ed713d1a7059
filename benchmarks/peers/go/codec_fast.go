//go:build fastjson

package main

import "github.com/goccy/go-json"

var (
	unmarshal = json.Unmarshal
	marshal   = json.Marshal
)
