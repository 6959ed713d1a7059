//go:build !fastjson

package main

import "encoding/json"

var (
	unmarshal = json.Unmarshal
	marshal   = json.Marshal
)
