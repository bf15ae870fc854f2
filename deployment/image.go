package deployment

import "strings"

// Image is a container image that a part of a contract names, as its registry
// has it now. A tag moves; the digest is what can be had again.
type Image struct {
	Part   string // of the contract: model, explainer or transformer
	Name   string // as the contract has it
	Digest Digest // of what the name means; "": see the other two

	Refused []Finding // why it cannot be used
	Unknown string    // why its registry could not be asked
}

// checkImages says what became of the images of a contract.
func checkImages(images []Image) Check {
	check := Check{Status: Passing}
	var said []string
	for _, i := range images {
		named := "The image of the " + i.Part + ", " + i.Name + ", "
		switch {
		case len(i.Refused) > 0:
			check.Status = Failing
			for _, f := range i.Refused {
				said = append(said, f.Path+": "+f.Message)
			}
		case i.Unknown != "":
			if check.Status == Passing {
				check.Status = Warning
			}
			said = append(said, named+"could not be looked up: "+i.Unknown+".")
		default:
			said = append(said, named+"is "+string(i.Digest)+".")
		}
	}
	check.Message = strings.Join(said, " ")
	return check
}
