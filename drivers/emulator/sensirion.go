package emulator

import "time"

// heatFade is how long the warmth of a heater takes to fade to a third.
const heatFade = 2 * time.Second

// sensirionWords writes words as the chips of Sensirion do: each with its
// checksum behind it.
func sensirionWords(words ...uint16) []byte {
	var b []byte
	for _, w := range words {
		b = append(b, byte(w>>8), byte(w))
		b = append(b, crc8(b[len(b)-2:]))
	}
	return b
}

// crc8 has the polynomial x^8+x^5+x^4+1 and starts with all ones; the datasheets
// of SHT3x, SHT4x and AHT20 share it.
func crc8(data []byte) byte {
	crc := byte(0xff)
	for _, b := range data {
		crc ^= b
		for range 8 {
			carry := crc&0x80 != 0
			crc <<= 1
			if carry {
				crc ^= 0x31
			}
		}
	}
	return crc
}
